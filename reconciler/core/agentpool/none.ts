/** AgentPools of a control plane that serves none: every answer says why. Pure. */
import type { AgentPools, Refused } from "./service.ts";

/** `code`: whether a repeat may be answered otherwise. */
export function noAgentPools(why: string, code: Refused["code"] = "conflict"): AgentPools {
  const refused = { kind: "refused", code, message: why } as const;
  return {
    whyNot: () => refused,
    pools: () => [],
    pool: () => null,
    claim: () => Promise.resolve(refused),
    claimOf: () => Promise.resolve(refused),
    release: () => Promise.resolve(refused),
    review: () => Promise.resolve({ kind: "unknown", problem: why }),
    admit: () => Promise.resolve({ kind: "unavailable", message: why }),
    workerOf: () => null,
    heard: () => null,
  };
}
