/**
 * Each mechanism of AgentPools taken out, and the story of pools in trouble whose books must then
 * not add up.
 */
import type { Mutation } from "./list.ts";

type Patch = Mutation["patches"][number];

const one = (name: string, ...patches: Patch[]): Mutation => {
  return { name, patches, test: { file: "test/sim/pools.test.ts", name: "pools, seed" } };
};

const ACTOR = "reconciler/agentpool/actor.ts";
const MEMBER = "reconciler/core/agentpool/member.ts";

export const AGENTPOOL_MUTATIONS: readonly Mutation[] = [
  one("pods of an AgentPool are created and deleted before their rows are committed", {
    file: ACTOR,
    from: "      if (!isEmpty(change)) await this.ports.table.commit(change);",
    to: `      for (const draft of drafts) {
        this.effects.start(draft.uid, draft.pool, draft.step.effects);
      }
      if (!isEmpty(change)) await this.ports.table.commit(change);`,
  }),
  one(
    "a worker leaves an AgentPool without a handshake",
    {
      file: MEMBER,
      from: 'if (state !== "Idle" && state !== "Running") return 0;',
      to: 'if (state !== "Idle" && state !== "Running" && state !== "NotifyDeleting") return 0;',
    },
    {
      file: "reconciler/core/agentpool/leave.ts",
      from: 'const hasWork = used > 0 || (isActive(agent) && agent.stop === "busy");',
      to: 'const hasWork = used > 99 && agent.stop === "busy";',
    },
  ),
  one("workers that a new leader has not heard yet count as lost", {
    file: MEMBER,
    from: 'if (joinedAt !== null || found) return "Unknown";',
    to: 'if (joinedAt !== null || found) return "Lost";',
  }),
  one("claims of an AgentPool are not read at the start", {
    file: "reconciler/agentpool/rows.ts",
    from: "rows.take({ workers, removed: [], claims });",
    to: "rows.take({ workers, removed: [], claims: claims.filter(() => false) });",
  }),
  {
    name: "rows of AgentPools are not fenced by the epoch",
    test: { file: "reconciler/store/worker-table.test.ts", name: "no longer leads" },
    patches: [
      {
        file: "schema/migration/0001_lease.sql",
        from: "AND epoch = NEW.epoch)",
        to: "AND epoch >= 0)",
      },
    ],
  },
];
