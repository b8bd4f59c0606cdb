/**
 * Faults on purpose: people hurt simulated machines and let simulated providers fail, while
 * `simulation.enabled` is true. A fault enters where a real one would, in the machine; nothing here
 * changes a node's record.
 */
import type { Context } from "hono";
import type { SafetyView } from "../../../schema/api.ts";
import type { FailureView, FaultView, SimulationView } from "../../../schema/api-simulation.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { formatDuration } from "../../../schema/duration.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { formatFault, MachineFault } from "../../../schema/machine-fault.ts";
import type { Node } from "../../../schema/node.ts";
import {
  FAILURE,
  FAILURE_CLASSES,
  FailureAsked,
  type ProviderFailure,
} from "../../../schema/provider-failure.ts";
import { isSimulated } from "../../core/adapter.ts";
import type { FaultInjector, InjectedFault } from "../../core/fault-injector.ts";
import type { Simulation, WorkerMachines } from "../../runtime/simulation.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { locateNode } from "./locate-node.ts";
import {
  durationOf,
  eventBy,
  idempotencyKey,
  invalid,
  readAsked,
  Refusal,
  sayNear,
} from "./request.ts";
import * as v from "valibot";

/** A body without keys. */
const Nothing = v.strictObject({});

const OFF =
  "simulation is off: set simulation.enabled: true in the configuration of a control plane " +
  "whose pools all have simulated providers, and reload it";

export type SimulationPorts = RoutePorts & {
  /** What people broke on purpose; `null` in virtual time. */
  simulation: Simulation | null;
};

function isEnabled({ reconciler, simulation }: SimulationPorts): boolean {
  return simulation !== null && reconciler.activeConfig().simulation.enabled;
}

type Machine = { node: Node; instance: InstanceId; faults: FaultInjector };

/** Refuses a node whose machine is not simulated: nothing of ours could hurt it. */
function machineOf(node: Node, { reconciler, simulation }: SimulationPorts): Machine {
  const { instance } = node;
  if (node.worker !== null && instance === null) {
    return workerMachine(node, node.worker.pool, simulation?.workers ?? null);
  }
  if (instance === null || node.phase.kind === "gone") {
    const why = node.phase.kind === "gone" ? "is gone" : "has no machine that Navarch bought";
    throw new Refusal("conflict", `node ${node.id} ${why}: only simulated machines have faults`);
  }
  const { name, type } = providerOf(reconciler.activeConfig().providers, instance.provider);
  const faults = simulation?.injector(instance.provider) ?? null;
  if (faults === null || !isSimulated(type)) {
    const what = `is a machine of provider ${name} (type ${type}), which is not simulated`;
    throw new Refusal("conflict", `node ${node.id} ${what}: nothing was injected`);
  }
  return { node, instance: instance.id, faults };
}

/** A worker's GPUs are those of its agent: only simulated ones can be hurt. */
function workerMachine(node: Node, pool: string, machines: WorkerMachines | null): Machine {
  const refuse = (why: string): never => {
    throw new Refusal("conflict", `node ${node.id} is a worker of AgentPool ${pool}, ${why}`);
  };
  if (node.agent?.simulated !== true || machines === null) {
    const how = "simulate them with navarch-node --fake-gpus";
    return refuse(`whose agent watches real GPUs, or has none: nothing was injected; ${how}`);
  }
  const { injector } = machines;
  const at = machines.folder(node.id);
  const how =
    `start its agent beside this control plane with --kernel-log ${at}/kmsg ` +
    `and --sim-faults ${at}/gpu-faults.json`;
  // Each call begins with a list.
  const list: FaultInjector["list"] = async (id) => {
    const answer = await injector.list(id);
    if (answer.kind === "absent") refuse(`and ${at}/kmsg is not there: ${how}`);
    return answer;
  };
  const instance = node.id as string as InstanceId;
  return { node, instance, faults: { ...injector, list } };
}

function providerOf(all: readonly ProviderConfig[], name: string): ProviderConfig {
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const near = sayNear(
    name,
    all.map((one) => one.name),
  );
  throw new Refusal("not_found", `no provider ${name} is configured${near}`);
}

async function listFaults({ node, instance, faults }: Machine) {
  const answer = await faults.list(instance);
  if (answer.kind === "ok") return { node, faults: answer.faults };
  throw refusalOf(node, answer);
}

function refusalOf(node: Node, { kind, message }: { kind: "absent" | "failed"; message: string }) {
  return new Refusal(kind === "absent" ? "conflict" : "unavailable", `node ${node.id}: ${message}`);
}

async function inject(c: Context<Env>, ports: SimulationPorts): Promise<Response> {
  const { body: fault, by, now } = await readAsked(c, ports, MachineFault);
  const machine = machineOf(locateNode(c, ports), ports);
  const { node, instance, faults } = machine;
  if (!isEnabled(ports)) throw new Refusal("conflict", `node ${node.id}: ${OFF}`);
  const gpus = node.agent?.inventory.gpus.length ?? null;
  if (gpus !== null && fault.gpu >= gpus) {
    invalid(`gpu: node ${node.id} has ${gpus} GPUs, 0 to ${gpus - 1}`);
  }
  // Machines accept fewer letters in an id than the header does.
  const id = (idempotencyKey(c) ?? ports.newId()).replaceAll(":", "_");
  const before = (await listFaults(machine)).faults.find((one) => one.id === id);
  const injected: InjectedFault = { ...fault, id, atMs: before?.atMs ?? now };
  if (before !== undefined && formatFault(before) !== formatFault(fault)) {
    const was = `${formatFault(before)} of node ${node.id}`;
    throw new Refusal("conflict", `Idempotency-Key ${id} was used for ${was}`);
  }
  if (before === undefined) {
    await tell(
      ports,
      eventBy(by, {
        ...{ at: now, kind: "simulation.fault", node: node.id, pool: node.pool },
        message: `${formatFault(fault)} is injected`,
      }),
    );
  }
  // Also for a repeat: the first one may have ended half way.
  const answer = await faults.inject(instance, injected);
  if (answer.kind !== "ok") throw refusalOf(node, answer);
  if (before === undefined) ports.metrics.countFault(fault.kind);
  return c.json({ node_id: node.id, fault: viewInjected(injected) });
}

/** Allowed while simulation is off: it ends harm. */
async function clear(c: Context<Env>, ports: SimulationPorts): Promise<Response> {
  const { by, now } = await readAsked(c, ports, Nothing);
  const machine = machineOf(locateNode(c, ports), ports);
  const { node, faults: before } = await listFaults(machine);
  const answer = await machine.faults.clear(machine.instance);
  if (answer.kind !== "ok") throw refusalOf(node, answer);
  if (before.length > 0) {
    const message = `injected faults are cleared: ${before.map(formatFault).join(", ")}`;
    const about = { node: node.id, pool: node.pool };
    await tell(ports, eventBy(by, { at: now, kind: "simulation.fault", ...about, message }));
  }
  return c.json({ node_id: node.id, cleared: before.length });
}

async function fail(c: Context<Env>, ports: SimulationPorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, FailureAsked);
  const { simulation, reconciler } = ports;
  const { name, type } = providerOf(reconciler.activeConfig().providers, c.req.param("name") ?? "");
  if (!isSimulated(type)) {
    const what = `provider ${name} (type ${type}) is not simulated`;
    throw new Refusal("conflict", `${what}: calls of simulated providers only can be failed`);
  }
  if (simulation === null || !isEnabled(ports)) {
    throw new Refusal("conflict", `provider ${name}: ${OFF}`);
  }
  const failure: ProviderFailure = {
    class: body.class,
    untilMs: now + spanOf("for", body.for, FAILURE.forMs, FAILURE.forMsMax),
    calls: body.calls,
    delayMs: spanOf("delay", body.delay, FAILURE.delayMs, FAILURE.delayMsMax),
    by,
  };
  if (body.delay !== null && body.class !== "slow") invalid("delay: belongs to class slow");
  const calls = body.calls === null ? "" : `, or for ${body.calls} calls`;
  const until = `until ${iso(failure.untilMs)}${calls}`;
  const message = `provider ${name} fails ${until}: ${FAILURE_CLASSES[body.class]}`;
  await tell(ports, eventBy(by, { at: now, kind: "simulation.provider", message }));
  simulation.fail(name, failure);
  return c.json({ provider: name, failure: viewFailure(failure) });
}

async function heal(c: Context<Env>, ports: SimulationPorts): Promise<Response> {
  const { by, now } = await readAsked(c, ports, Nothing);
  const { name } = providerOf(ports.reconciler.activeConfig().providers, c.req.param("name") ?? "");
  const was = ports.simulation?.heal(name) ?? false;
  if (was) {
    const message = `provider ${name} no longer fails`;
    await tell(ports, eventBy(by, { at: now, kind: "simulation.provider", message }));
  }
  return c.json({ provider: name, failure: null, was_failing: was });
}

function spanOf(key: string, text: string | null, otherwise: number, most: number): number {
  const ms = text === null ? otherwise : durationOf(key, text);
  if (ms >= 1 && ms <= most) return ms;
  return invalid(`${key}: expected 1ms to ${formatDuration(most)}, found ${text}`);
}

function tell({ reconciler }: Pick<RoutePorts, "reconciler">, event: EventDraft): Promise<unknown> {
  return reconciler.change((draft) => draft.tell([event]));
}

function viewInjected({ id, atMs, ...fault }: InjectedFault): FaultView {
  return { id, at: iso(atMs), ...fault };
}

/** For the safety status: nothing while no fault can be injected. */
export function viewBroken(ports: SimulationPorts): Pick<SafetyView, "simulation"> {
  const { simulation, reconciler } = ports;
  if (simulation === null || !isEnabled(ports)) return {};
  const broken = reconciler.activeConfig().providers.flatMap(({ name }) => {
    const failure = simulation.failing(name);
    return failure === null ? [] : [{ provider: name, failure: viewFailure(failure) }];
  });
  return { simulation: broken };
}

function viewFailure(failure: ProviderFailure): FailureView {
  const { untilMs, calls, delayMs, by } = failure;
  return {
    class: failure.class,
    until: iso(untilMs),
    calls_left: calls,
    delay_ms: failure.class === "slow" ? delayMs : null,
    by,
  };
}

export const simulationRoutes: readonly Route<SimulationPorts>[] = [
  {
    at: "GET /v1/simulation",
    access: "viewer",
    isLeaders: true,
    says: "whether faults may be injected, and which providers fail on purpose",
    run: (c, ports) => {
      const { providers } = ports.reconciler.activeConfig();
      const view: SimulationView = {
        enabled: isEnabled(ports),
        now: iso(ports.clock.wallMs()),
        providers: providers.map(({ name, type }) => {
          const failure = ports.simulation?.failing(name) ?? null;
          return {
            name,
            type,
            simulated: isSimulated(type),
            failure: failure === null ? null : viewFailure(failure),
          };
        }),
      };
      return c.json(view);
    },
  },
  {
    at: "GET /v1/nodes/:id/faults",
    access: "viewer",
    act: ["get", "node"],
    isLeaders: true,
    says: "faults injected into a simulated machine and not cleared",
    run: async (c, ports) => {
      const { node, faults } = await listFaults(machineOf(locateNode(c, ports), ports));
      return c.json({ node_id: node.id, faults: faults.map(viewInjected) });
    },
  },
  {
    at: "POST /v1/nodes/:id/faults",
    access: "operator",
    act: ["inject", "node"],
    body: MachineFault,
    says: "inject a fault: body `kind` (`xid` with `code`, `ecc`, `thermal`, `nvlink`, `lost`), `gpu`",
    run: (c, ports) => inject(c, ports),
  },
  {
    at: "DELETE /v1/nodes/:id/faults",
    access: "operator",
    act: ["clear", "node"],
    body: Nothing,
    says: "clear every injected fault of a machine",
    run: (c, ports) => clear(c, ports),
  },
  {
    at: "PUT /v1/providers/:name/failure",
    access: "operator",
    act: ["fail", "provider"],
    body: FailureAsked,
    says: "let a simulated provider fail: body `class`, `for`, `calls`, `delay`",
    run: (c, ports) => fail(c, ports),
  },
  {
    at: "DELETE /v1/providers/:name/failure",
    access: "operator",
    act: ["heal", "provider"],
    body: Nothing,
    says: "end that",
    run: (c, ports) => heal(c, ports),
  },
];
