/** Makes the configured notifier ready: names of the environment are filled in once, at start. */
import type { NotifierConfig } from "../../schema/config.ts";
import type { Clock, Log } from "../clock.ts";
import type { Store } from "../store/store.ts";
import { expandEnv, Notifier } from "./deliver.ts";

/** `null` when nothing is to be told; throws an `Error` for people if a name is not set. */
export function openNotifier(
  notifier: NotifierConfig,
  from: { store: Store; clock: Clock; log: Log; env: Record<string, string | undefined> },
): Notifier | null {
  if (notifier.type === "noop") return null;
  const { env, ...ports } = from;
  const filled = (text: string): string => {
    const answer = expandEnv(text, env);
    if (answer.ok) return answer.text;
    throw new Error(`server.notifier: environment variable ${answer.name} is not set`);
  };
  const url = (text: string | null): string | null => (text === null ? null : filled(text));
  const headers = Object.entries(notifier.headers).map(([key, value]) => [key, filled(value)]);
  const config = {
    ...notifier,
    headers: Object.fromEntries(headers) as Record<string, string>,
    cordonUrl: url(notifier.cordonUrl),
    uncordonUrl: url(notifier.uncordonUrl),
    drainUrl: url(notifier.drainUrl),
    drainStatusUrl: url(notifier.drainStatusUrl),
  };
  const secret = notifier.secretEnv === null ? null : (env[notifier.secretEnv] ?? null);
  return new Notifier({ ...ports, config, secret });
}
