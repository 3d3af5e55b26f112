// How a client for Node.js behaves under each fault of the test kit: as probing.py, for the probes beside it.
export const URL = process.env.SEEKD_KIT_URL;
export const TEXT = 'Grüße aus Köln: everything is well, and the answer is forty-two.';
export const CITY = { city: 'Paris' };
export const QUESTION = 'How are you?';
export const TIMEOUT_MS = 1000;
export const TOOL = { name: 'get_weather', description: 'Get the weather', parameters: { type: 'object', properties: {} } };

const post = (action, body) => fetch(`${URL}/_seekd/${action}`, { method: 'POST', body: JSON.stringify(body) });

async function outcome(ask, isStream, isCall, expected) {
  let text;
  try {
    text = await ask(isStream, isCall);
  } catch (error) {
    // Some clients give all their errors one name, and their classes others.
    return error.name !== 'Error' ? error.name : error.constructor.name;
  }
  if (text === expected) return 'whole';
  if (!text) return 'empty';
  return expected.startsWith(text) ? 'part' : 'other text';
}

export async function probe(ask, ways = [true, false]) {
  for (const name of (process.env.SEEKD_FAULTS ?? '').split(' ').filter(Boolean)) {
    const isCall = name === 'cut-arguments';
    for (const isStream of ways) {
      const said = isCall ? { tool_calls: [{ name: 'get_weather', arguments: CITY }] } : { text: TEXT };
      await post('reset', {});
      await post('replies', { reply: [{ ...said, fault: name === 'slow-start' ? `${name}; delay_s=4` : name }] });
      const expected = isCall ? '{"city": "Paris"}' : TEXT;
      console.log(JSON.stringify([name, isStream, await outcome(ask, isStream, isCall, expected)]));
    }
  }
  process.exit(0);
}
