/** Names of AgentPools as people give them: `NS/NAME`, or `NAME` in the namespace of `-n`. Pure. */
import { PoolKey } from "../schema/agentpool.ts";
import * as v from "valibot";
import type { Failure } from "./failure.ts";
import { usage } from "./failure.ts";
import type { Flag, Flags } from "./flag.ts";

const DEFAULT_NAMESPACE = "default";

export const NAMESPACE: Flag = {
  name: "namespace",
  short: "n",
  kind: "text",
  value: "NS",
  help: `namespace of an AgentPool (default ${DEFAULT_NAMESPACE})`,
};

export type PoolName = { ok: true; namespace: string; name: string };

export function readPoolName(flags: Flags, given: string): PoolName | Failure {
  const asked = flags.text("namespace");
  const key = given.includes("/") ? given : `${asked ?? DEFAULT_NAMESPACE}/${given}`;
  if (!v.is(PoolKey, key)) return usage(`${key}: expected NAME or NAMESPACE/NAME of an AgentPool`);
  const [namespace = "", name = ""] = key.split("/");
  if (asked !== null && asked !== namespace) {
    return usage(`${given} is not in the namespace of --namespace ${asked}`);
  }
  return { ok: true, namespace, name };
}

const encode = encodeURIComponent;

export const agentPoolPath = ({ namespace, name }: PoolName): string =>
  `/agentpools/${encode(namespace)}/${encode(name)}`;

export const claimsPath = ({ namespace, name }: PoolName): string =>
  `/pools/${encode(namespace)}/${encode(name)}/claims`;
