/**
 * The normalised configuration as JSON, for `config show`. What looks like a secret is not shown,
 * and neither is a header's value unless it only names environment variables.
 */
import type { Config } from "../../schema/config.ts";
import { hideSecrets } from "./secret.ts";

const HIDDEN = "[redacted]";

/**
 * Normalised JSON with two spaces and a final line break; equal configurations print equal bytes.
 */
export function printConfig(config: Config): string {
  return `${JSON.stringify(redact(config), null, 2)}\n`;
}

function redact(config: Config): unknown {
  const { notifier } = config.server;
  if (notifier.type !== "webhook") return hideTexts(config);
  const headers = Object.fromEntries(
    Object.entries(notifier.headers).map(([name, value]) => [
      name,
      value.includes("${") ? value : HIDDEN,
    ]),
  );
  const shown = { ...config, server: { ...config.server, notifier: { ...notifier, headers } } };
  return hideTexts(shown);
}

function hideTexts(value: unknown): unknown {
  if (typeof value === "string") return hideSecrets(hideQuery(value), HIDDEN);
  if (Array.isArray(value)) return value.map(hideTexts);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, hideTexts(one)]));
}

/** Web hooks carry their token in the query as often as in a header. */
function hideQuery(text: string): string {
  return /^https?:\/\/\S+\?\S+$/.test(text) ? text.replace(/\?.*$/, `?${HIDDEN}`) : text;
}
