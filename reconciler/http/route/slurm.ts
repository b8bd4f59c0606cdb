/**
 * What Slurm's ResumeProgram, SuspendProgram and ResumeFailProgram tell. Each request writes which
 * slots of a pool get machines, in one transaction, and returns; the plan does the rest. Told
 * twice it has the same result, and a key keeps a repeat that was delayed from undoing what was
 * told in between.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { PoolConfig } from "../../../schema/config.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { SlurmRightsView } from "../../../schema/slurm-view.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { recall, remember } from "../../core/scaling/asked.ts";
import { expandHostlist } from "../../core/slurm/hostlist.ts";
import { isPowered, POWER_VERBS, type PowerVerb, tellPower } from "../../core/slurm/power-save.ts";
import { slotOfName } from "../../core/slurm/slot-name.ts";
import { viewSlurmCluster } from "../view/slurm-cluster.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { idempotencyKey, invalid, readAsked, Refusal } from "./request.ts";

const JOBS_SHOWN = 5;
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(65_536));

const Told = v.strictObject({
  /** A hostlist, such as `c[0-3],d1`. */
  nodes: name,
  /** Jobs that wait for them, for people. */
  jobs: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(1_000)), []),
});

type Share = { pool: PoolConfig; slots: number[]; names: string[] };

async function takeTold(c: Context<Env>, ports: RoutePorts, verb: PowerVerb): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Told);
  const key = idempotencyKey(c);
  const list = expandHostlist(body.nodes, LIMIT.slurmNamesMax);
  if (list.kind === "invalid") return invalid(`nodes: ${list.message}`);
  const { shares, unknown, refused } = shareOut(ports, list.names);
  if (shares.length === 0) {
    const message = unknown.length > 0 ? unknownText(unknown) : refusedText(refused);
    throw new Refusal(unknown.length > 0 ? "not_found" : "conflict", message, { unknown, refused });
  }
  const forJobs = body.jobs.slice(0, JOBS_SHOWN).join(", ");
  const why = `Slurm's ${verb} (${by})${forJobs === "" ? "" : ` for job ${forJobs}`}`;
  await ports.reconciler.change((work) => {
    for (const { pool, slots } of shares) {
      const state = work.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
      const what = `slurm ${verb} ${slots.toSorted((a, b) => a - b).join(",")}`.slice(0, 1_000);
      const before = recall(state, key, what);
      if (before.kind === "done") continue;
      if (before.kind === "other") {
        throw new Refusal("conflict", `Idempotency-Key ${key} was used for: ${before.what}`);
      }
      const told = tellPower(pool, state, { verb, slots, why, now });
      work.putPool(remember(told.state, key, what, now));
      work.tell(told.events);
    }
  });
  const taken = shares.map((one) => ({ pool: one.pool.name, nodes: one.names }));
  return c.json({ taken, unknown, refused });
}

/** The names by pool; a pool that Slurm does not size is never changed by it. */
function shareOut(ports: RoutePorts, names: readonly string[]) {
  const config = ports.reconciler.activeConfig();
  const shares = new Map<PoolConfig, Share>();
  const unknown: string[] = [];
  const refused: string[] = [];
  for (const one of new Set(names)) {
    const found = slotOfName(config, one);
    if (found === null) unknown.push(one);
    else if (!isPowered(found.pool)) refused.push(one);
    else {
      const share = shares.get(found.pool) ?? { pool: found.pool, slots: [], names: [] };
      shares.set(found.pool, share);
      share.slots.push(found.slot);
      share.names.push(one);
    }
  }
  return { shares: [...shares.values()], unknown, refused };
}

function unknownText(names: readonly string[]): string {
  const [first = ""] = names;
  const more = names.length === 1 ? "" : ` and ${names.length - 1} more`;
  return `no pool has NodeName ${first}${more} in slurm.nodes`;
}

function refusedText(names: readonly string[]): string {
  const [first = ""] = names;
  return `Slurm does not size the pool of ${first}: set slurm.power_save, or SuspendExcNodes`;
}

const POWER_SAYS: Readonly<Record<PowerVerb, string>> = {
  resume: "Slurm resumes nodes of pools with `slurm.power_save`: body `nodes` (a hostlist), `jobs`",
  suspend: "Slurm suspends nodes: body `nodes`",
  "resume-fail": "nodes came up too late for Slurm: body `nodes`",
};

export const slurmRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/slurm",
    access: "viewer",
    says: "state of Slurm, and names on which it and the configuration differ",
    run: (c, ports) => c.json(viewSlurmCluster(ports.reconciler)),
  },
  {
    at: "GET /v1/slurm/rights",
    access: "viewer",
    says: "whether Slurm lets the control plane change nodes",
    run: async (c, ports) => {
      const none: SlurmRightsView = { allowed: null, message: "no Slurm is attached here" };
      return c.json((await ports.reconciler.slurm()?.sink.rights()) ?? none);
    },
  },
  ...POWER_VERBS.map((verb): Route<RoutePorts> => ({
    at: `POST /v1/slurm/${verb}`,
    access: "operator",
    also: "slurm",
    act: [verb.replace("-", "_"), "slurm_node"],
    body: Told,
    says: POWER_SAYS[verb],
    run: (c, ports) => takeTold(c, ports, verb),
  })),
];
