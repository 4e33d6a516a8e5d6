// Runs the official toolset of @anthropic-ai/sdk, as its session runner does: reads one JSON line a call
// ({"name":…,"input":…}), writes one JSON line an answer ({"text":…,"is_error":…}).
//
// usage: node toolset.mjs SDK_DIRECTORY WORKDIR
import * as readline from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [sdk, workdir] = process.argv.slice(2);
const require = createRequire(pathToFileURL(sdk + '/package.json'));
const { betaAgentToolset20260401 } = require('@anthropic-ai/sdk/tools/agent-toolset/node');
const { runRunnableTool } = require(sdk + '/node_modules/@anthropic-ai/sdk/lib/tools/BetaRunnableTool.js');

process.chdir(workdir);
const tools = new Map(betaAgentToolset20260401({ workdir }).map((t) => [t.name, t]));
for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { name, input } = JSON.parse(line);
  const outcome = await runRunnableTool(tools.get(name), input, {});
  // The runner posts this in place of an empty text.
  const answer = { text: outcome.content || '(no output)', is_error: outcome.isError };
  process.stdout.write(JSON.stringify(answer) + '\n');
}
for (const t of tools.values()) await t.close?.();
process.exit(0);
