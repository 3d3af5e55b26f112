// DeepSeek's own agent harness, without its browser interface.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GREETING, KEY, run, URL as SERVER } from '../checks.mjs';

const DSH = fileURLToPath(new URL('node_modules/@deepseek-ai/dsh/lib/bin.js', import.meta.url));
const LIMIT_MS = 120_000;
const home = mkdtempSync(join(tmpdir(), 'dsh-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));

function ask(task, key = KEY) {
  const env = { ...process.env, HOME: home, DSH_HOME: join(home, '.dsh') };
  Object.assign(env, { DEEPSEEK_BASE_URL: SERVER, DEEPSEEK_API_KEY: key });
  const options = { cwd: home, env, encoding: 'utf8', timeout: LIMIT_MS };
  return spawnSync(process.execPath, [DSH, '--profile', 'headless', task], options);
}

await run({
  'a task is answered': () => {
    const done = ask('Say hello.');
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout.trim(), GREETING);
  },
  'a tool is called and its result comes back': () => {
    writeFileSync(join(home, 'note.txt'), 'The harness read this line.\n');
    const done = ask('Read note.txt.');
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout.trim(), 'The note was read.');
  },
  'a wrong key is told': () => {
    const done = ask('Say hello.', 'sk-0000');
    assert.equal(done.status, 1);
    assert.match(done.stderr, /auth/i);
  },
});
