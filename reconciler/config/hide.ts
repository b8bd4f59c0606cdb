/**
 * A configuration and what was made of it, without what looks like a secret, for a file that leaves
 * the site. What is hidden is hidden everywhere in the same way, names made of it too, so that what
 * is left is still decided as it was.
 */
import { createHash } from "node:crypto";
import { joinsCluster } from "../../bootstrap/template/join-need.ts";
import type { Config } from "../../schema/config.ts";
import { guardKey } from "../core/safety/guard.ts";
import { hideSecrets } from "./secret.ts";

const HIDDEN = "[redacted]";
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
    const hidden = renamed(hideSecrets(text, HIDDEN), keys);
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
  // No decision looks at how providers and people are reached.
  const providers = config.providers.map((provider) => ({ ...provider, settings: {} }));
  const server = { ...config.server, notifier: { type: "noop" as const } };
  return { config: hide({ ...config, server, providers, pools }) as Config, hide };
}

/** Under these keys are the commands of a set-up, in the configuration and in operations. */
const COMMANDS = new Set(["setupCommands", "commands"]);

/** A command may hold anything. What is left tells equal from other, and whether it joins. */
function hideCommand(command: unknown): string {
  const text = String(command);
  if (text.startsWith(COMMAND_HIDDEN)) return text;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `${COMMAND_HIDDEN} ${digest}${joinsCluster([text]) ? ", uses .KubernetesServer" : ""}]`;
}

const COMMAND_HIDDEN = "[command";

/** The record of a set-up is kept under a digest of its commands (`safety/guard.ts`). */
function renamed(text: string, keys: ReadonlyMap<string, string>): string {
  let out = text;
  for (const [from, to] of keys) out = out.replaceAll(from, to);
  return out;
}
