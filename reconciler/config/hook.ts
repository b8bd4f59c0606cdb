/**
 * Reads URLs and headers of a web hook. `${ENV_NAME}` is expanded where the notifier is opened, so
 * that the configuration holds no secret.
 */
import { parseHttpUrl } from "./address.ts";
import type { Section } from "./section.ts";
import { readText } from "./value.ts";

/** A header name is a token (RFC 9110 §5.6.2). */
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const VARIABLE = /\$\{[A-Za-z_][A-Za-z0-9_]*\}/g;

/** An empty URL means that the event is not sent. */
export function readHook(webhook: Section, key: string): string | null {
  const entry = webhook.look(key);
  if (entry?.value.kind === "scalar" && entry.value.value === "") return null;
  const text = webhook.text(key);
  if (text === null || !checkVariables(webhook, key, text)) return text;
  // A URL that begins with a variable is checked when the notifier is opened.
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

export function readHeaders(webhook: Section, key: string): Record<string, string> {
  const section = webhook.map(key);
  const found: [string, string][] = [];
  for (const header of section.entries()) {
    if (!HEADER.test(header.key)) {
      webhook.problems.error(header.at, header.path, "header", "not a header name");
      continue;
    }
    const text = readText(webhook.problems, header.value, true);
    if (text !== null && checkVariables(section, header.key, text)) found.push([header.key, text]);
  }
  return Object.fromEntries(found);
}
