/**
 * `server.notifier`. `${ENV_NAME}` stays as written: it is expanded where the notifier is opened,
 * so that no secret is ever part of the configuration.
 */
import type { NotifierConfig } from "../../schema/config.ts";
import { parseHttpUrl } from "./address.ts";
import type { Section } from "./section.ts";
import { readText } from "./value.ts";

const RETRY = { attempts: 5, initialMs: 1_000, maxMs: 60_000 };
const TIMEOUT_MS = 30_000;
const TYPES = ["noop", "webhook"] as const;
/** A header name is a token (RFC 9110 §5.6.2). */
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const VARIABLE = /\$\{[A-Za-z_][A-Za-z0-9_]*\}/g;

export function readNotifier(notifier: Section): NotifierConfig {
  const type = notifier.choice("type", TYPES);
  const webhook = notifier.map("webhook");
  const config: NotifierConfig = {
    type: "webhook",
    cordonUrl: readUrl(webhook, "cordon_url"),
    uncordonUrl: readUrl(webhook, "uncordon_url"),
    drainUrl: readUrl(webhook, "drain_url"),
    drainStatusUrl: readUrl(webhook, "drain_status_url"),
    timeoutMs: webhook.duration("timeout", { min: 1 }) ?? TIMEOUT_MS,
    headers: readHeaders(webhook),
    secretEnv: readEnvName(webhook, "secret_env"),
    retry: readRetry(webhook.map("retry")),
  };
  webhook.finish();
  notifier.finish();
  return type === "webhook" ? config : { type: "noop" };
}

/** An empty URL means that the event is not sent. */
function readUrl(webhook: Section, key: string): string | null {
  const entry = webhook.look(key);
  if (entry?.value.kind === "scalar" && entry.value.value === "") return null;
  const text = webhook.text(key);
  if (text === null || !checkVariables(webhook, key, text)) return text;
  // A URL that begins with a variable is known only where the environment is.
  if (text.startsWith("${")) return text;
  const answer = parseHttpUrl(text.replace(VARIABLE, "x"));
  if (!answer.ok) webhook.fail(key, "url", answer.message, answer.hint);
  return text;
}

function checkVariables(section: Section, key: string, text: string): boolean {
  if (!text.replace(VARIABLE, "").includes("${")) return true;
  section.fail(key, "variable", "${ is not followed by NAME}", "write ${NAME}");
  return false;
}

function readHeaders(webhook: Section): Record<string, string> {
  const section = webhook.map("headers");
  const found: [string, string][] = [];
  const entry = webhook.look("headers");
  for (const header of entry?.value.kind === "map" ? entry.value.entries : []) {
    section.look(header.key);
    if (!HEADER.test(header.key)) {
      webhook.problems.error(header.at, header.path, "header", "not a header name");
      continue;
    }
    const text = readText(webhook.problems, header.value, true);
    if (text !== null && checkVariables(section, header.key, text)) found.push([header.key, text]);
  }
  return Object.fromEntries(found);
}

/**
 * Name of an environment variable; whoever writes the secret itself is told so, without quoting it.
 */
export function readEnvName(section: Section, key: string): string | null {
  const name = section.text(key);
  if (name === null || /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  const hint = "write for example LAMBDA_API_KEY, and never the value";
  section.fail(key, "env", "not the name of an environment variable", hint);
  return null;
}

function readRetry(retry: Section): typeof RETRY {
  const attempts = retry.integer("attempts", { min: 1, max: 100 }) ?? RETRY.attempts;
  const initialMs = retry.duration("initial", { min: 1 }) ?? RETRY.initialMs;
  const maxMs = retry.duration("max", { min: 1 }) ?? Math.max(RETRY.maxMs, initialMs);
  if (maxMs < initialMs) retry.fail("max", "range", "must not be below initial");
  retry.finish();
  return { attempts, initialMs, maxMs };
}
