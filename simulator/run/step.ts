/**
 * Carries out one event of a scenario. An event that fails, such as a wait that ends without its
 * status or an order that the product refuses, is a value: the runner stops the story and fails the
 * run.
 */
import type { CommandWord, Step, FailureSpec, ScenarioEvent } from "../scenario/scenario.ts";
import type { Cause, Failure } from "../scenario/fault.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { messageOf } from "../scenario/draw.ts";
import type { Member } from "../stack/population.ts";
import type { Stack } from "../stack/stack.ts";
import type { CheckFrom, Checked } from "./check.ts";
import { check, healthOf, isKind, statusOf, wordOf } from "./check.ts";

/** Upstream polls twice a second; a story in virtual time need not wait that long. */
const POLL_MS = 250;
/** Demand expires unless it is repeated. */
const DEMAND_MS = 5_000;

export type Story = CheckFrom & {
  /** Starts what was placed and does not run. */
  startFleet(): void;
  /** Set once the run is interrupted. */
  isAborted(): boolean;
  say(message: string): void;
  checked(checked: Checked): void;
  nextId(): number;
  /** This failure is to happen to the machine of that name, as soon as there is one. */
  foretell(name: string, failure: FailureSpec): void;
  /** Chaos may answer to a failure that the story made. */
  provoke(name: string, failure: FailureSpec): void;
};

export type StepAnswer = { ok: true } | { ok: false; message: string };

const DONE: StepAnswer = { ok: true };
const fail = (message: string): StepAnswer => ({ ok: false, message });

export async function carryOut(event: ScenarioEvent, story: Story): Promise<StepAnswer> {
  const { stack } = story;
  switch (event.action) {
    case "start_fleet":
      story.startFleet();
      return DONE;
    case "stop_fleet":
      await stack.await(stopAll(stack));
      return DONE;
    case "inject_failure":
      return injectNow(event, story);
    case "recover_failure":
      return recoverNow(event, story);
    case "issue_command":
      return issue(event, story);
    case "wait_for_status":
      return waitFor(event, story);
    case "wait":
      return DONE;
    case "log":
      story.say(event.message);
      return DONE;
    case "assert": {
      const checked = await check(event.check, story);
      story.checked(checked);
      const { name, expected, actual, passed } = checked;
      return passed ? DONE : fail(`${name}: expected ${expected}, found ${actual}`);
    }
    case "set_load":
      return setLoad(event, story);
    case "provider_fault":
      return breakProvider(event, stack);
    case "control_plane":
      return hitPlane(event, stack);
    case "api_fault":
      return breakKube(event, stack);
    case "kubectl": {
      const member = stack.population.find(event.target);
      const problem = stack.kube?.kubectl(event.step, event.target, member) ?? null;
      return problem === null ? DONE : fail(problem);
    }
    default:
      return unreachable(event);
  }
}

async function stopAll(stack: Stack): Promise<void> {
  for (const { machine } of stack.population.all()) {
    if (machine.isRunning()) await machine.stopAgent();
  }
}

function find(story: Story, name: string): Member | null {
  return story.stack.population.find(name);
}

/** Breaks a machine, or takes its instance away. */
export function breakMachine(
  story: Pick<Story, "stack" | "record">,
  member: Member,
  failure: Failure,
  from: { cause: Cause | "scenario"; depth: number; name: string | null },
  said: string | null = null,
): void {
  const { stack, record } = story;
  record.injected(member, failure, from);
  member.machine.inject(failure, said);
  if (failure.type !== "preempt" && failure.type !== "vm_gone") return;
  member.machine.powerOff();
  stack.clouds.get(member.node.provider)?.take(member.instanceId, failure.type === "preempt");
}

export function mendMachine(
  { record }: Pick<Story, "record">,
  member: Member,
  failure: Failure,
): void {
  if (member.machine.recover(failure.id)) record.recovered(member, failure);
}

function injectNow(event: Step & { action: "inject_failure" }, story: Story): StepAnswer {
  const spec: FailureSpec = event.failure;
  const member = find(story, event.target);
  // A machine that is not bought yet is broken when it is.
  if (member === null) story.foretell(event.target, spec);
  else injectInto(member, spec, story);
  return DONE;
}

export function injectInto(
  member: Member,
  spec: FailureSpec,
  story: Pick<Story, "stack" | "record" | "nextId" | "provoke">,
): void {
  const failure = { ...spec, id: story.nextId(), message: spec.message ?? messageOf(spec) };
  const from = { cause: "scenario", depth: 0, name: null } as const;
  breakMachine(story, member, failure, from, spec.message);
  story.provoke(member.name, spec);
}

function recoverNow(event: Step & { action: "recover_failure" }, story: Story): StepAnswer {
  const member = find(story, event.target);
  if (member === null) return fail(`there is no machine ${event.target}`);
  for (const failure of [...member.machine.failures()]) {
    if (event.type === null || failure.type === event.type) mendMachine(story, member, failure);
  }
  return DONE;
}

/** The interface has no order for a diagnosis: each check of an agent is one. */
const PATH: Readonly<Record<CommandWord, string | null>> = {
  cordon: "cordon",
  uncordon: "uncordon",
  drain: "drain",
  terminate: "terminate",
  run_diagnostic: null,
  replace: "replace",
};

async function issue(
  event: Step & { action: "issue_command" },
  { stack, api, say }: Story,
): Promise<StepAnswer> {
  const path = PATH[event.command];
  if (path === null) {
    say(`${event.command} ${event.target}: the agent's next check stands for it`);
    return DONE;
  }
  const member = stack.population.find(event.target);
  const id = encodeURIComponent(member?.nodeId ?? event.target);
  const body = {
    reason: event.reason ?? "ordered by the scenario",
    ...(event.timeoutMs === null ? {} : { timeout: `${event.timeoutMs}ms` }),
    ...(event.force ? { force: true } : {}),
  };
  const order = api.call("POST", `/v1/nodes/${id}/${path}`, body);
  const answer = await stack.await(order);
  if (answer === null) return fail(`${event.command} ${event.target}: no answer`);
  if (answer.status < 300) return DONE;
  return fail(`${event.command} ${event.target}: refused: ${JSON.stringify(answer.body)}`);
}

async function waitFor(
  event: Step & { action: "wait_for_status" },
  story: Story,
): Promise<StepAnswer> {
  const { stack, record } = story;
  const until = stack.time.monoMs() + event.timeoutMs;
  for (;;) {
    const view = await statusOf(story, event.target);
    const status = view === null ? "absent" : wordOf(view.status);
    const found = event.health === null ? null : await healthOf(story, event.target);
    const health = event.health === null ? null : (found ?? "absent");
    const { event: wanted } = event;
    const kinds = record.nodes.get(event.target)?.kinds ?? [];
    const isThere = wanted === null || kinds.some((kind) => isKind(kind, wanted));
    const isStatus = event.status === null || status === event.status;
    if (isStatus && health === event.health && isThere) return DONE;
    if (stack.time.monoMs() >= until || story.isAborted()) {
      const hopes = [event.status, event.health, wanted].filter((one) => one !== null).join(", ");
      const seen = `${status}${health === null ? "" : `, health ${health}`}`;
      const last = kinds.at(-1) ?? "none";
      const waited = Math.round(event.timeoutMs / 1_000);
      return fail(
        `${event.target}: ${hopes} not reached in ${waited} s; it is ${seen}, last event ${last}`,
      );
    }
    await stack.time.pass(Math.min(POLL_MS, Math.max(1, until - stack.time.monoMs())));
  }
}

async function setLoad(event: Step & { action: "set_load" }, story: Story): Promise<StepAnswer> {
  const { stack, api } = story;
  const members = [...stack.population.all()].filter(({ name, node, live }) =>
    event.of === "node" ? name === event.target : live && node.pool === event.target,
  );
  if (event.of === "node" && members.length === 0) return fail(`no machine ${event.target}`);
  for (const { machine } of members) {
    machine.setLoad({
      ...(event.utilization === null ? {} : { utilization: event.utilization }),
      // Jobs of a pool are its queue's; only a node's own are processes on it.
      ...(event.of === "node" && event.runningJobs !== null
        ? { processes: event.runningJobs }
        : {}),
    });
  }
  const isQueue = event.pendingJobs !== null || event.runningJobs !== null;
  if (event.of !== "pool" || !isQueue) return DONE;
  const pending = event.pendingJobs ?? 0;
  const demand = { pending_jobs: pending, queue_depth: pending + (event.runningJobs ?? 0) };
  const path = `/v1/pools/${encodeURIComponent(event.target)}/demand`;
  stack.demand.get(event.target)?.();
  const again = (): void => {
    void api.call("PUT", path, demand);
    stack.demand.set(event.target, stack.time.after(DEMAND_MS, again));
  };
  const answer = await stack.await(api.call("PUT", path, demand));
  stack.demand.set(event.target, stack.time.after(DEMAND_MS, again));
  if (answer !== null && answer.status >= 300) {
    return fail(`demand of ${event.target}: ${JSON.stringify(answer.body)}`);
  }
  return DONE;
}

function breakProvider(event: Step & { action: "provider_fault" }, stack: Stack): StepAnswer {
  const cloud = stack.clouds.get(event.target);
  if (cloud === undefined) return fail(`there is no provider ${event.target}`);
  cloud.setFault(event.fault);
  const { durationMs } = event.fault;
  if (durationMs !== null) stack.time.after(durationMs, () => cloud.endFault(event.fault));
  return DONE;
}

function breakKube(event: Step & { action: "api_fault" }, { kube, time }: Stack): StepAnswer {
  if (kube === null) return fail("there is no Kubernetes cluster");
  kube.setFault(event.fault);
  const { durationMs } = event.fault;
  if (durationMs !== null) time.after(durationMs, () => kube.endFault(event.fault));
  return DONE;
}

async function hitPlane(
  event: Step & { action: "control_plane" },
  stack: Stack,
): Promise<StepAnswer> {
  const { plane, idle, time } = stack;
  const { durationMs } = event;
  // Agents meet a dead control plane themselves.
  idle.resumeAll();
  switch (event.step) {
    case "pause":
      plane.pause();
      time.after(durationMs ?? 0, () => plane.resume());
      return DONE;
    case "kill":
      await stack.await(plane.kill());
      if (durationMs !== null) time.after(durationMs, () => void plane.start());
      return DONE;
    case "restart":
    case "wipe":
      await stack.await(plane.kill());
      if (event.step === "wipe") plane.wipe();
      if (durationMs === null) await stack.await(plane.start());
      else time.after(durationMs, () => void plane.start());
      return DONE;
    default:
      return unreachable(event.step);
  }
}
