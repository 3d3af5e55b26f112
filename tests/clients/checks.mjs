// What the clients' Node.js scripts share: `run` prints one line a check and exits with 1 if one failed.
// The environment names the scripted server (SEEKD_URL, SEEKD_KEY) and one with the bundled model, which asks for no key
// (SEEKD_MODEL_URL).

export const URL = process.env.SEEKD_URL;
export const KEY = process.env.SEEKD_KEY;
export const MODEL_URL = process.env.SEEKD_MODEL_URL;
export const GREETING = 'Hello! I am well, thank you.';
export const REASONING = 'Let me think.';
export const FORECAST = 'It is sunny in New York.';
export const LIMITED_MODEL = 'deepseek-v4-pro';
export const PARAMETERS = {
  type: 'object',
  properties: { location: { type: 'string', description: 'City name' } },
  required: ['location'],
};

export async function run(checks) {
  let failed = false;
  for (const [label, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${label}`);
    } catch (error) {
      failed = true;
      console.log(`FAIL ${label}\n${error.stack}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
