// For `node --import`: the SDK's EnvironmentWorker becomes one that starts `sallyport worker` (see our_worker.mjs).
import { register } from 'node:module';

const source = `
export async function resolve(name, context, next) {
  if (name === '@anthropic-ai/sdk/helpers/beta/environments')
    return { url: ${JSON.stringify(new URL('./our_worker.mjs', import.meta.url).href)}, shortCircuit: true };
  return next(name, context);
}`;
register('data:text/javascript,' + encodeURIComponent(source));
