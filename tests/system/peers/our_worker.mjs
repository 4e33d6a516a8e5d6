// The part of the SDK's EnvironmentWorker that a program uses, with `sallyport worker` behind it.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class EnvironmentWorker {
  constructor(options) {
    this.options = options;
  }

  async run() {
    const { client, environmentId, environmentKey, maxIdleMs, signal } = this.options;
    const key = join(mkdtempSync(join(tmpdir(), 'key-')), 'key');
    writeFileSync(key, environmentKey + '\n', { mode: 0o600 });
    const log = openSync(process.env.SALLYPORT_WORKER_LOG, 'a');
    const args = ['worker', '--config', process.env.SALLYPORT_WORKER_CONFIG, '--environment', environmentId,
      '--environment-key-file', key, '--base-url', client.baseURL, '--max-idle', `${maxIdleMs}ms`];
    const child = spawn(process.env.SALLYPORT_BIN, args, { stdio: ['ignore', log, log] });
    const stop = () => child.kill('SIGTERM');
    signal?.addEventListener('abort', stop, { once: true });
    const [code, killer] = await new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
    if (code !== 0) throw new Error(`sallyport worker ended with ${code ?? killer}`);
  }
}
