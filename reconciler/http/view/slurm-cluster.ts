/** Slurm as a whole, for people: `GET /v1/slurm`, the gauges and `doctor`. Pure. */
import type { SlurmClusterView, SlurmPodsView } from "../../../schema/slurm-view.ts";
import type { Node } from "../../../schema/node.ts";
import { compressHostlist } from "../../core/slurm/hostlist.ts";
import { isOf } from "../../core/slurm/pod-scale.ts";
import { poolNames } from "../../core/slurm/slot-name.ts";
import type { Reconciler } from "../../runtime/loop.ts";

/** A controller that refuses everything would otherwise fill pages. */
const LINES_MAX = 50;
const HOST = /^[A-Za-z0-9][\w.-]*$/;

type Seen = Pick<Reconciler, "slurm" | "fleet" | "activeConfig">;

/** NodeNames that differ between Slurm and this fleet; `null` while Slurm cannot be asked. */
export function differences(reconciler: Seen) {
  const { sink } = reconciler.slurm() ?? {};
  if (sink === undefined || sink.dark() !== null) return null;
  const { pools, slurm: section } = reconciler.activeConfig();
  const { list } = sink.nodes();
  const listed = new Set(list.map(({ name }) => name));
  const bound = new Set(inSlurm(reconciler.fleet().nodes.values()).map((node) => node.slurm?.name));
  const aliases = Object.keys(section.nodeAliases);
  const given = new Set([...aliases, ...pools.flatMap(poolNames)]);
  const keys = [
    { key: "slurm.node_aliases", names: aliases },
    ...pools.map((pool) => ({ key: `slurm.nodes of pool ${pool.name}`, names: poolNames(pool) })),
  ];
  const unknown = keys.flatMap(({ key, names }) => {
    const absent = names.filter((name) => !listed.has(name));
    return absent.length === 0 ? [] : [{ key, names: absent }];
  });
  const set = section.pods.statefulSet;
  const isPod = (name: string): boolean => set !== null && isOf({ name: set }, name);
  const unclaimed = [...listed].filter((name) => {
    return !bound.has(name) && !given.has(name) && !isPod(name);
  });
  return { unknown, unclaimed };
}

function inSlurm(nodes: Iterable<Node>): Node[] {
  return [...nodes].filter(({ phase, slurm }) => phase.kind !== "gone" && slurm !== null);
}

export function viewSlurmCluster(reconciler: Seen): SlurmClusterView {
  const view = reconciler.slurm();
  const live = inSlurm(reconciler.fleet().nodes.values());
  const status = view?.sink.status() ?? null;
  const found = differences(reconciler);
  const doubtful = [...reconciler.fleet().nodes.values()].flatMap((node) => {
    const why = view?.of(node)?.ambiguous ?? null;
    return why === null ? [] : [{ node_id: node.id, why }];
  });
  return {
    attached: view !== null,
    server: status?.server ?? null,
    nodes: status?.nodes ?? 0,
    matched: live.filter(({ slurm }) => slurm?.absentSince === null).length,
    age_ms: status?.ageMs ?? null,
    dark: status?.dark ?? null,
    alarms: view === null ? [] : [...view.alarms],
    ambiguous: doubtful.slice(0, LINES_MAX),
    unknown_names: (found?.unknown ?? []).map(({ key, names }) => ({ key, names: say(names) })),
    unknown_partitions: found === null ? [] : unknownPartitions(reconciler),
    unclaimed: say(found?.unclaimed ?? []),
    refusals: live
      .flatMap(({ id, slurm }) =>
        slurm === null || slurm.refusals === 0
          ? []
          : [{ node_id: id, name: slurm.name, message: slurm.refusal ?? "" }],
      )
      .slice(0, LINES_MAX),
    pods: viewPods(reconciler),
  };
}

function viewPods(reconciler: Seen): SlurmPodsView | null {
  const status = reconciler.slurm()?.pods ?? null;
  const { statefulSet, namespace, minReplicas, maxReplicas } = reconciler.activeConfig().slurm.pods;
  if (status === null || statefulSet === null) return null;
  const { replicas, needed, state, why } = status;
  return {
    stateful_set: statefulSet,
    namespace,
    min: minReplicas,
    max: maxReplicas ?? 0,
    replicas,
    busy: needed?.busy ?? null,
    pending: needed?.pending ?? null,
    needed: needed?.to ?? null,
    state,
    why: [why, needed?.stop].filter(Boolean).join("; "),
  };
}

function unknownPartitions(reconciler: Seen): SlurmClusterView["unknown_partitions"] {
  const list = reconciler.slurm()?.sink.nodes().list ?? [];
  const shown = new Set(list.flatMap(({ partitions }) => partitions));
  const { pools, slurm } = reconciler.activeConfig();
  const keys = pools.map(({ name, slurm: { partition } }) => {
    return { key: `slurm.partition of pool ${name}`, partition };
  });
  const all = [...keys, { key: "slurm.pods.partition", partition: slurm.pods.partition }];
  return all.flatMap(({ key, partition }) => {
    return partition === null || shown.has(partition) ? [] : [{ key, partition }];
  });
}

/** A NodeName that no hostlist can hold is left out. */
function say(names: readonly string[]): string {
  return compressHostlist(names.filter((name) => HOST.test(name)));
}
