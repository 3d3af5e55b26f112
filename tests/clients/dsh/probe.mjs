// DeepSeek's agent harness under faults: it always streams, and repeats by itself.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probe, QUESTION, URL as SERVER } from '../probing.mjs';

const DSH = fileURLToPath(new URL('node_modules/@deepseek-ai/dsh/lib/bin.js', import.meta.url));
const LIMIT_MS = 20_000;
const home = mkdtempSync(join(tmpdir(), 'dsh-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));

function failure(name) {
  const error = new Error(name);
  error.name = name;
  return error;
}

await probe((isStream, isCall) => {
  if (isCall) throw failure('not tried');
  const env = { ...process.env, HOME: home, DSH_HOME: join(home, '.dsh') };
  Object.assign(env, { DEEPSEEK_BASE_URL: SERVER, DEEPSEEK_API_KEY: 'any' });
  const options = { cwd: home, env, encoding: 'utf8', timeout: LIMIT_MS };
  const done = spawnSync(process.execPath, [DSH, '--profile', 'headless', QUESTION], options);
  if (done.error) throw failure('waits or repeats for 20 s');
  if (done.status !== 0) throw failure(`status ${done.status}`);
  return done.stdout.trim();
}, [true]);
