/**
 * A large fleet for storm stories: agents report all at once, quiet agents are only noted as
 * present, policies change during the run, and effects are counted where they happen.
 */
import { builtinPolicy } from "../../health/policy/builtin.ts";
import { compilePolicy, hashRules, type CompiledPolicy } from "../../health/policy/compile.ts";
import type { PolicyRule } from "../../schema/policy.ts";
import type { NodeId } from "../../schema/id.ts";
import { reportOf } from "./agent.ts";
import type { World } from "./world.ts";
import { nodeOf, open } from "./story.ts";

/** The built-in policy with these rules before it. */
export function policyWith(...rules: Partial<PolicyRule>[]): CompiledPolicy {
  const made = rules.map((rule, at): PolicyRule => ({
    name: `rule-${at}`,
    description: null,
    condition: "false",
    result: "unhealthy",
    hold: null,
    action: null,
    repeat: null,
    pools: null,
    line: at + 1,
    ...rule,
  }));
  const all = [...made, ...builtinPolicy.rules];
  const answer = compilePolicy({ ...builtinPolicy, name: "own", rules: all, hash: hashRules(all) });
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.compiled;
}

/** A fleet whose agents all report in the same few milliseconds. */
export async function openLarge(yaml: string, seed = 1): Promise<World> {
  const world = await open(yaml, { store: "memory", seed });
  world.report = async () => {
    const running = [...world.cloud.world().instances.values()]
      .map((held) => held.instance)
      .filter((instance) => instance.state === "running");
    const pending = running.flatMap((instance) => {
      const id = nodeOf(instance);
      const agent = world.agent(id);
      if (agent.quiet) return [];
      if (isDull(world, id)) {
        const { presence } = world.reconciler;
        presence.note(id as NodeId, world.clock.monoMs(), world.clock.wallMs(), null);
        return [];
      }
      const report = reportOf(id, agent, world.clock.wallMs());
      return [{ agent, answer: world.ingest.accept(report, id as NodeId) }];
    });
    await world.clock.pass(5);
    for (const { agent, answer } of pending) {
      const said = await answer;
      world.said++;
      if (said.kind !== "reply") continue;
      agent.registered = !said.reply.want_inventory;
      agent.spool = agent.spool.filter((one) => one.seq > said.reply.ack_seq);
    }
  };
  return world;
}

/** Whether its report has no news: then it is only noted as present. */
function isDull(world: World, id: string): boolean {
  const { spool, active, registered } = world.agent(id);
  if (!registered || spool.length > 0 || active.length > 0) return false;
  const node = world.reconciler.fleet().nodes.get(id as NodeId);
  const well = node?.phase.kind === "serving" && node.health.verdict === "healthy";
  return well && node.cordon.product === null && world.reconciler.presence.isHeard(node.id);
}

/** The process ends and another one starts with this policy. */
export async function adoptPolicy(world: World, policy: CompiledPolicy): Promise<void> {
  await world.crash();
  world.policy = policy;
  await world.start();
}

/** What was done to the fleet from now on, as its targets saw it. */
export function watchSteps(world: World): { cordons: Set<string>; ends: string[] } {
  const steps = { cordons: new Set<string>(), ends: new Array<string>() };
  const seen = world.onCommit;
  world.onCommit = (change) => {
    seen(change);
    for (const event of change.events) {
      if (event.kind === "node.cordoned" && event.node !== null) steps.cordons.add(event.node);
    }
  };
  const terminate = world.cloud.terminate.bind(world.cloud);
  world.cloud.terminate = async (id, fence) => {
    steps.ends.push(fence.nodeId);
    return terminate(id, fence);
  };
  return steps;
}
