/**
 * Composes a control plane: the loop, and the ingest of reports. Production, the scenario runner,
 * the swarm and the crash worlds all compose here and differ only in their ports.
 */
import type { NodeId } from "../../schema/id.ts";
import type { TaskDemand } from "../core/console/demand.ts";
import type { Provider } from "../core/provider.ts";
import type { Scheduler } from "../core/kubernetes/scheduler.ts";
import type { PodSetPort } from "../core/slurm/pod-set.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { Cursor } from "../core/store.ts";
import { rebootOrderFor } from "../core/fold/reboot-order.ts";
import { wordFor } from "../core/upgrade/word.ts";
import type { Targets } from "../runtime/act/execute.ts";
import { Ingest, type IngestTarget } from "../runtime/ingest.ts";
import { type LoopPorts, Reconciler } from "../runtime/loop.ts";
import { PodScaler } from "../runtime/act/pod-scaler.ts";
import type { Settings } from "../runtime/settings.ts";
import type { UnitOfWork } from "../core/unit-of-work.ts";

export type PlanePorts = Omit<LoopPorts, "targets"> &
  Settings &
  Pick<Targets, "credential" | "bootstrap" | "keyProblem" | "readMetric"> &
  Pick<IngestTarget, "signer"> & {
    scheduler: Scheduler;
    /** The second scheduler; absent = there is none. */
    slurm?: SlurmSink | null;
    /** The StatefulSet of Slurm's pods; absent = there is no cluster. */
    podSet?: PodSetPort | null;
    /** What tasks of the demand queue ask of a pool; absent = there is no queue. */
    tasks?: TaskDemand | null;
    fleetId: string;
    /** How far the agents' streams are durable; empty if no reports are taken. */
    cursors: readonly Cursor[];
  };

export type ControlPlane = {
  reconciler: Reconciler;
  ingest: Ingest;
  /** Runs with other settings from the next activation on, once the edit is durable. */
  adopt(edit: (work: UnitOfWork) => Settings): Promise<void>;
};

/** Reads the store; nothing acts before the loop is started or an activation is run. */
export async function compose(ports: PlanePorts): Promise<ControlPlane> {
  const { scheduler, slurm = null, tasks = null } = ports;
  const { credential, bootstrap, keyProblem, readMetric } = ports;
  let active: Settings = settingsOf(ports);
  const provider = (name: string): Provider | null => active.providers.get(name) ?? null;
  const { podSet = null } = ports;
  const pods = slurm && new PodScaler({ ...ports, slurm, set: podSet });
  const others = { credential, bootstrap, keyProblem, readMetric, tasks };
  const targets = { provider, scheduler, slurm, pods, ...others };
  const loop: LoopPorts = { ...ports, targets };
  const reconciler = await Reconciler.open(loop, active, ports.fleetId);
  const target = targetOf(reconciler, ports);
  const ingest = new Ingest(ports.store, ports.clock, target, ports.cursors);
  const adopt: ControlPlane["adopt"] = (edit) => reconciler.adopt(edit, (next) => (active = next));
  return { reconciler, ingest, adopt };
}

function settingsOf({ config, policy, providers, unavailable }: Settings): Settings {
  return { config, policy, providers, unavailable };
}

/** The fleet as reports need it, always the loop's current state. */
function targetOf(
  reconciler: Reconciler,
  { clock, dryRun, signer, turn }: PlanePorts,
): IngestTarget {
  const config = () => reconciler.activeConfig();
  return {
    presence: reconciler.presence,
    node: (id: NodeId) => reconciler.fleet().nodes.get(id) ?? null,
    count: () => reconciler.fleet().nodes.size,
    nodeOfProviderId: (id) =>
      config().providers.flatMap((one) => reconciler.nodeOfInstance(`${one.name}/${id}`) ?? []),
    nodeOfObject: (name) => reconciler.nodeOfObject(name),
    nodeLike: (id) => reconciler.nodeLike(id),
    takeEntries: (entries) => reconciler.takeEntries(entries),
    upgrade: (id) => wordFor(reconciler.fleet(), id),
    reboot: (id, bootId) =>
      dryRun ? null : rebootOrderFor(reconciler.fleet(), id, bootId, clock.wallMs()),
    signer,
    turn,
    config,
  };
}
