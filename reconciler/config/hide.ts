/**
 * Removes secrets from a configuration and recorded activations that leave the site. Equal texts,
 * and names derived from them, are hidden equally, so that a replay decides the same.
 */
import { createHash } from "node:crypto";
import { joinsCluster } from "../../bootstrap/template/join-need.ts";
import type { Config } from "../../schema/config.ts";
import { guardKey } from "../core/safety/guard.ts";
import { hideSecrets } from "./secret.ts";

/** Most texts of a fleet are the same on every node. */
const KNOWN_MAX = 20_000;

export type Hider = {
  config: Config;
  hide(this: void, value: unknown): unknown;
};

export function openHider(config: Config): Hider {
  const known = new Map<string, string>();
  const keys = new Map<string, string>();
  const hideText = (text: string): string => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const hidden = renamed(hideSecrets(text), keys);
    if (known.size < KNOWN_MAX) known.set(text, hidden);
    return hidden;
  };
  const hide = (value: unknown): unknown => {
    if (typeof value === "string") return hideText(value);
    if (Array.isArray(value)) return value.map(hide);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => {
        const hidden = COMMANDS.has(key) && Array.isArray(one) ? one.map(hideCommand) : hide(one);
        return [renamed(key, keys), hidden];
      }),
    );
  };
  const pools = config.pools.map((pool) => {
    const { bootstrap } = pool;
    const setupCommands = bootstrap.setupCommands.map(hideCommand);
    const hidden = { ...pool, bootstrap: { ...bootstrap, setupCommands } };
    const [from, to] = [guardKey(pool, ""), guardKey(hidden, "")];
    if (from !== to) keys.set(from, to);
    return hidden;
  });
  // Decisions do not depend on how providers and people are reached.
  const providers = config.providers.map((provider) => ({ ...provider, settings: {} }));
  const tracing = { otlpEndpoint: null, headers: {} };
  const server = { ...config.server, notifier: { type: "noop" as const }, tracing };
  return { config: hide({ ...config, server, providers, pools }) as Config, hide };
}

/** Keys of set-up commands, in the configuration and in operations. */
const COMMANDS = new Set(["setupCommands", "commands"]);

/** Keeps only whether two commands are equal, and whether one joins the cluster. */
function hideCommand(command: unknown): string {
  const text = String(command);
  if (text.startsWith(COMMAND_HIDDEN)) return text;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `${COMMAND_HIDDEN} ${digest}${joinsCluster([text]) ? ", uses .KubernetesServer" : ""}]`;
}

const COMMAND_HIDDEN = "[command";

/** Set-ups are recorded under a digest of their commands (`safety/guard.ts`). */
function renamed(text: string, keys: ReadonlyMap<string, string>): string {
  let out = text;
  for (const [from, to] of keys) out = out.replaceAll(from, to);
  return out;
}
