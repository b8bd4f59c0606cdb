/** AgentPools of a control plane that serves none: every answer says why. Pure. */
import type { AgentPools } from "./service.ts";

export function noAgentPools(why: string): AgentPools {
  const refused = { kind: "refused", code: "unavailable", message: why } as const;
  return {
    whyNot: () => why,
    pools: () => [],
    pool: () => null,
    claim: () => Promise.resolve(refused),
    claimOf: () => Promise.resolve(refused),
    release: () => Promise.resolve(refused),
    admit: () => Promise.resolve({ kind: "unavailable", message: why }),
    workerOf: () => null,
    heard: () => null,
  };
}
