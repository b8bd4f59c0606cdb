/**
 * The work of a simulated fleet, as its scheduler knows it: jobs run on what has served, and leave
 * some time after they were asked to.
 */
import type { FakeScheduler } from "../../world/fake-scheduler.ts";
import { type Agent, hashOf } from "./agent.ts";

export type WorkPorts = {
  wallMs(): number;
  monoMs(): number;
  agentOf(node: string): Agent | undefined;
  /** The longest that work takes to leave; each node has its own share of it. */
  drainMs: number;
  /** Told when the last job of a node will have left; monotonic. */
  emptyAt(at: number): void;
};

export function placeWork(scheduler: FakeScheduler, ports: WorkPorts): void {
  scheduler.left = (node) => {
    const agent = ports.agentOf(node);
    const free = agent === undefined || !agent.worked;
    if (free || (agent.emptyAt !== null && agent.emptyAt <= ports.monoMs()))
      return { kind: "empty", seenAt: ports.wallMs() };
    return { kind: "busy", remaining: 1, message: "1 job is left" };
  };
  const drain = scheduler.drain.bind(scheduler);
  scheduler.drain = async (node, options, fence) => {
    const answer = await drain(node, options, fence);
    const agent = ports.agentOf(node);
    if (agent !== undefined && answer.kind !== "refused") {
      agent.emptyAt ??= ports.monoMs() + (hashOf(node) % (ports.drainMs + 1));
      ports.emptyAt(agent.emptyAt);
    }
    return answer;
  };
}
