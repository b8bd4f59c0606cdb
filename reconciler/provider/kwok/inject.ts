/**
 * Injects faults into the machines of a `kwok` provider: entries in an annotation of the virtual
 * Node, which the process of simulated agents puts into the machine.
 */
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import type { MachineFault } from "../../../schema/machine-fault.ts";
import type { FaultInjector, InjectAnswer, InjectedFault } from "../../core/fault-injector.ts";
import { type KubeApi, PATCH } from "../../kubernetes/api.ts";
import { BoughtNode, partsOf } from "./instance.ts";
import {
  formatSimFaults,
  parseSimFaults,
  SIM_FAULTS,
  SIM_FAULTS_MAX,
  type SimFault,
} from "./sim-fault.ts";

const CALL_MS = 10_000;
/** KWOK's heartbeats change the Node between the read and the write now and then. */
const TRIES = 5;

type Failure = Exclude<InjectAnswer, { kind: "ok" }>;
type Read = Failure | { kind: "ok"; node: BoughtNode; path: string; faults: SimFault[] };

export function openKwokFaults(api: KubeApi): FaultInjector {
  return {
    inject: (instance, { id, atMs, ...fault }) =>
      change(api, instance, (faults) => {
        if (faults.some((one) => one.id === id)) return faults;
        return [...faults, { ...fault, id, atMs }];
      }),
    clear: (instance) => change(api, instance, () => []),
    async list(instance) {
      const read = await readFaults(api, instance);
      return read.kind === "ok" ? { kind: "ok", faults: read.faults.flatMap(ownOf) } : read;
    },
  };
}

/** `network` is set by hand: no route injects it. */
function ownOf({ id, atMs, ...fault }: SimFault): InjectedFault[] {
  return fault.kind === "network" ? [] : [{ ...(fault satisfies MachineFault), id, atMs }];
}

async function readFaults(api: KubeApi, instance: InstanceId): Promise<Read> {
  const gone: Failure = { kind: "absent", message: `instance ${instance} is gone` };
  const parts = partsOf(instance);
  if (parts === null) return gone;
  const path = `/api/v1/nodes/${encodeURIComponent(parts.name)}`;
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind === "refused" && answer.status === 404) return gone;
  if (answer.kind !== "ok") return { kind: "failed", message: answer.message };
  const node = v.safeParse(BoughtNode, answer.body);
  if (!node.success) return { kind: "failed", message: `${path}: the reply is no Node` };
  const { uid, deletionTimestamp, annotations } = node.output.metadata;
  if (uid !== parts.uid || deletionTimestamp !== null) return gone;
  const read = parseSimFaults(annotations[SIM_FAULTS]);
  if (!read.ok) return { kind: "failed", message: `Node ${parts.name}: ${read.message}` };
  return { kind: "ok", node: node.output, path, faults: read.faults };
}

async function change(
  api: KubeApi,
  instance: InstanceId,
  edit: (faults: SimFault[]) => SimFault[],
): Promise<InjectAnswer> {
  let message = "";
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const read = await readFaults(api, instance);
    if (read.kind !== "ok") return read;
    const faults = edit(read.faults);
    if (faults === read.faults || (faults.length === 0 && read.faults.length === 0)) {
      return { kind: "ok" };
    }
    if (faults.length > SIM_FAULTS_MAX) {
      const most = `${SIM_FAULTS_MAX} faults, the most: clear them first`;
      return { kind: "absent", message: `instance ${instance} has ${most}` };
    }
    const { uid, resourceVersion } = read.node.metadata;
    const annotations = { [SIM_FAULTS]: formatSimFaults(faults) };
    const answer = await api.call({
      verb: "patch",
      path: read.path,
      contentType: PATCH.merge,
      // Fails if the Node has changed since it was read, or has another one's name by now.
      body: { metadata: { uid, resourceVersion, annotations } },
      timeoutMs: CALL_MS,
      lane: "status",
    });
    if (answer.kind === "ok") return { kind: "ok" };
    message = answer.message;
    if (answer.kind !== "refused" || answer.status !== 409) break;
  }
  return { kind: "failed", message };
}
