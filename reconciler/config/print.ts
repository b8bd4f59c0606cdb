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
export function formatConfig(config: Config): string {
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
  const { cordonUrl, uncordonUrl, drainUrl, drainStatusUrl } = notifier;
  const urls = {
    cordonUrl: hidePath(cordonUrl),
    uncordonUrl: hidePath(uncordonUrl),
    drainUrl: hidePath(drainUrl),
    drainStatusUrl: hidePath(drainStatusUrl),
  };
  const hidden = { ...notifier, ...urls, headers };
  return hideTexts({ ...config, server: { ...config.server, notifier: hidden } });
}

function hideTexts(value: unknown): unknown {
  if (typeof value === "string") return hideSecrets(value, HIDDEN);
  if (Array.isArray(value)) return value.map(hideTexts);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, hideTexts(one)]));
}

/** The path of a web hook is often all that its receiver asks for. Variables stay as they are. */
function hidePath(url: string | null): string | null {
  const parts = /^(https?:\/\/[^/?#]+)(.*)$/i.exec(url ?? "");
  const rest = parts?.[2] ?? "";
  if (url === null || parts === null || rest === "" || rest === "/") return url;
  return rest.includes("${") ? url : `${parts[1]}/${HIDDEN}`;
}
