/** Opens the export of traces that `server.tracing` asks for, with its variables filled in. */
import type { Config } from "../../schema/config.ts";
import { parseHttpUrl } from "../config/address.ts";
import type { Log } from "../core/clock.ts";
import { expandEnv } from "../runtime/act/deliver.ts";
import { openTraces, type Traces } from "../trace/otlp.ts";

/**
 * `null`: none is asked for, or it cannot be used, which is logged. A fleet is repaired without
 * traces too, so nothing of this stops a start.
 */
export function openTracing(
  { otlpEndpoint, headers }: Config["server"]["tracing"],
  from: {
    fleetId: string;
    instance: string;
    env: Readonly<Record<string, string | undefined>>;
    log: Log;
  },
): Traces | null {
  if (otlpEndpoint === null || otlpEndpoint === "") return null;
  const { fleetId, instance, env, log } = from;
  const off = (why: string): null => {
    log("warn", "traces are not sent", { why, key: "server.tracing" });
    return null;
  };
  const url = expandEnv(otlpEndpoint, env);
  if (!url.ok) return off(`environment variable ${url.name} is not set`);
  const parsed = parseHttpUrl(url.text);
  if (!parsed.ok) return off(`otlp_endpoint is not usable: ${parsed.message}`);
  const filled: Record<string, string> = {};
  for (const [name, text] of Object.entries(headers)) {
    const value = expandEnv(text, env);
    if (!value.ok) return off(`environment variable ${value.name} is not set`);
    filled[name] = value.text;
  }
  return openTraces({ url: url.text, headers: filled, fleetId, instance });
}
