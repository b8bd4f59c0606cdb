/**
 * The configured notifier with environment variables filled in, or why it cannot be used. `config
 * validate` and the start both check it here.
 */
import type { NotifierConfig } from "../../schema/config.ts";
import { parseHttpUrl } from "../config/address.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { Store } from "../core/store.ts";
import { expandEnv, Notifier } from "../runtime/act/deliver.ts";

export type Webhook = Extract<NotifierConfig, { type: "webhook" }>;
/** `problems` are sentences for people; none quotes a value, which may be a secret. */
export type Filled =
  | { ok: true; config: Webhook; secret: string | null }
  | { ok: false; problems: { keys: readonly string[]; message: string }[] };

const URLS = [
  ["cordonUrl", "cordon_url"],
  ["uncordonUrl", "uncordon_url"],
  ["drainUrl", "drain_url"],
  ["drainStatusUrl", "drain_status_url"],
] as const;

export function fillNotifier(
  notifier: Webhook,
  env: Readonly<Record<string, string | undefined>>,
): Filled {
  const problems: { keys: readonly string[]; message: string }[] = [];
  const fail = (key: readonly string[], message: string): null => {
    problems.push({ keys: ["server", "notifier", "webhook", ...key], message });
    return null;
  };
  const unset = (key: readonly string[], name: string): null =>
    fail(key, `environment variable ${name} is not set`);
  const filled = (key: readonly string[], text: string): string | null => {
    const answer = expandEnv(text, env);
    return answer.ok ? answer.text : unset(key, answer.name);
  };
  const config = { ...notifier };
  for (const [name, key] of URLS) {
    const text = notifier[name];
    const whole = text === null ? null : filled([key], text);
    config[name] = whole === "" ? null : whole;
    const answer = whole === null || whole === "" ? null : parseHttpUrl(whole);
    if (answer?.ok === false) fail([key], `filled in, ${text} is not usable: ${answer.message}`);
  }
  config.headers = Object.fromEntries(
    Object.entries(notifier.headers).map(([name, text]) => {
      const value = filled(["headers", name], text) ?? "";
      if (!isHeader(name, value)) {
        fail(["headers", name], `filled in, header ${name} is not one line of ASCII text`);
      }
      return [name, value];
    }),
  );
  const { secretEnv } = notifier;
  const secret = secretEnv === null ? null : (env[secretEnv] ?? "");
  // Receivers refuse unsigned events, or cannot distinguish them from forged ones.
  if (secretEnv !== null && secret === "") unset(["secret_env"], secretEnv);
  return problems.length === 0 ? { ok: true, config, secret } : { ok: false, problems };
}

/** A line break, with which a value from a file often ends, would fail each delivery. */
function isHeader(name: string, value: string): boolean {
  try {
    new Headers({ [name]: value });
    return true;
  } catch {
    return false;
  }
}

/** `null` for `type: noop`; throws an `Error` that tells people why it cannot be used. */
export function openNotifier(
  notifier: NotifierConfig,
  from: { store: Store; clock: Clock; log: Log; env: Record<string, string | undefined> },
): Notifier | null {
  if (notifier.type === "noop") return null;
  const { env, ...ports } = from;
  const filled = fillNotifier(notifier, env);
  if (filled.ok) return new Notifier({ ...ports, config: filled.config, secret: filled.secret });
  throw new Error(`server.notifier: ${filled.problems[0]?.message ?? "not usable"}`);
}
