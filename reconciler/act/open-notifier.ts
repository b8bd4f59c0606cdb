/** Makes the configured notifier ready: names of the environment are filled in once, at start. */
import type { NotifierConfig } from "../../schema/config.ts";
import type { Clock, Log } from "../clock.ts";
import { parseHttpUrl } from "../config/address.ts";
import type { Store } from "../store/store.ts";
import { expandEnv, Notifier } from "./deliver.ts";

/** `null` when nothing is to be told; throws an `Error` for people if a name is not set. */
export function openNotifier(
  notifier: NotifierConfig,
  from: { store: Store; clock: Clock; log: Log; env: Record<string, string | undefined> },
): Notifier | null {
  if (notifier.type === "noop") return null;
  const { env, ...ports } = from;
  const unset = (name: string): Error =>
    new Error(`server.notifier: environment variable ${name} is not set`);
  const filled = (text: string): string => {
    const answer = expandEnv(text, env);
    if (answer.ok) return answer.text;
    throw unset(answer.name);
  };
  // Only now is the whole URL known. No message quotes it: it may hold a secret.
  const url = (text: string | null): string | null => {
    const whole = text === null ? "" : filled(text);
    if (text === null || whole === "") return null;
    const answer = parseHttpUrl(whole);
    if (answer.ok) return whole;
    throw new Error(`server.notifier: filled in, ${text} is not usable: ${answer.message}`);
  };
  const headers = Object.fromEntries(
    Object.entries(notifier.headers).map(([key, value]) => [key, filled(value)]),
  ) as Record<string, string>;
  checkHeaders(headers);
  const config = {
    ...notifier,
    headers,
    cordonUrl: url(notifier.cordonUrl),
    uncordonUrl: url(notifier.uncordonUrl),
    drainUrl: url(notifier.drainUrl),
    drainStatusUrl: url(notifier.drainStatusUrl),
  };
  const { secretEnv } = notifier;
  const secret = secretEnv === null ? null : (env[secretEnv] ?? "");
  // A receiver that demands signatures would refuse each event; one that does not, believe anybody.
  if (secretEnv !== null && secret === "") throw unset(secretEnv);
  return new Notifier({ ...ports, config, secret });
}

/** A value with a line break, as files often end with one, would fail each delivery. */
function checkHeaders(headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers({ [name]: value });
    } catch {
      throw new Error(`server.notifier: filled in, header ${name} is not one line of ASCII text`);
    }
  }
}
