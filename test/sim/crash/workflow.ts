/**
 * The workflows whose crashes are enumerated: the fleet before each, what happens to it, when it
 * is over, and what may be bought and ended by then. Acts of people and hardware are part of the
 * world: they happen once, whichever process dies.
 */
import type { ProviderClass } from "../../../reconciler/core/provider.ts";
import { emptyChange } from "../../../reconciler/core/store.ts";
import type { Command } from "../../../schema/command.ts";
import type { CommandId, NodeId, PoolName } from "../../../schema/id.ts";
import { BASE } from "../../world/setting.ts";
import type { World } from "../../world/world.ts";

/** How far the story is: part of the world, so it survives every crash. */
export type Story = { step: number; begun: boolean; asked: boolean; notes: Record<string, string> };

export type Step = {
  /** What happens outside of the control plane, once. */
  begin?(world: World, story: Story): void;
  /** What a person asks of the control plane; asked again in each life until it was taken. */
  ask?(world: World, story: Story): Promise<void>;
  done(world: World, story: Story): boolean;
};

/** From which fleet a workflow starts. */
export type Start =
  /** No database, no instance. */
  | { kind: "nothing" }
  /** `nodes` serve, and the process just stopped. `amid` changes what it left. */
  | { kind: "steady"; nodes: number; amid?: "database-lost" | "instance-deleted" }
  /** The process died after the cloud accepted its request, before it learned so. */
  | { kind: "bought-unknown" };

export type Workflow = {
  name: string;
  yaml: string;
  start: Start;
  steps: readonly Step[];
  /** Nodes that serve in the end. */
  nodes: number;
  /** Instances made and ended by the workflow itself, when nothing goes wrong. */
  made: number;
  ended: number;
  /** Live instances that a slot may have at a time. */
  perSlot: number;
};

function yamlOf(nodes: number, replacement = "drain-first"): string {
  return `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${nodes}, max_nodes: 4 }
    health: { unhealthy_threshold: 1 }
    replacement: ${replacement}
`;
}

/** Serving on a known instance: an agent that came before its machine does not count. */
export function servingNodes(world: World): number {
  return world.nodes().filter((n) => n.phase.kind === "serving" && n.instance !== null).length;
}

const serves =
  (nodes: number) =>
  (world: World): boolean =>
    servingNodes(world) === nodes;

function remember(world: World, story: Story, name: string): string {
  const known = story.notes[name];
  if (known !== undefined) return known;
  const [first = ""] = [...world.agents.keys()].sort();
  story.notes[name] = first;
  return first;
}

const isGone = (world: World, story: Story, name: string): boolean => {
  const node = world.reconciler.fleet().nodes.get((story.notes[name] ?? "") as NodeId);
  return node === undefined || node.phase.kind === "gone";
};

/** A fatal XID on the first node. */
const fall: Step = {
  begin: (world, story) => world.xid(remember(world, story, "sick"), 79),
  done: (world, story) => isGone(world, story, "sick"),
};

/** A person ends the first node, and repeats the order until it was taken. */
const order: Step = {
  async ask(world, story) {
    const node = remember(world, story, "ended") as NodeId;
    const id = "order-1" as CommandId;
    if (world.store === null || (await world.store.command(id)) !== null) return;
    const command: Command = {
      id,
      node,
      type: "terminate",
      reason: "as ordered",
      force: false,
      timeoutMs: null,
      issuedBy: "operator",
      issuedAt: world.clock.wallMs(),
      state: "accepted",
      message: null,
    };
    await world.store.commit({ ...emptyChange(), commands: [command] });
    void world.reconciler.takeCommand(command);
  },
  done: (world, story) => isGone(world, story, "ended"),
};

function resize(desired: number): Step {
  return {
    async ask(world) {
      const at = world.clock.wallMs();
      await world.reconciler.change((draft) => {
        const pool = draft.pool("p" as PoolName);
        if (pool === null || pool.desired === desired) return;
        draft.putPool({ ...pool, desired, desiredBy: "human:operator", desiredAt: at });
      });
    },
    done: (world) => world.nodes().length === desired,
  };
}

const steady = (nodes: number): Start => ({ kind: "steady", nodes });

export const WORKFLOWS: readonly Workflow[] = [
  {
    name: "create",
    yaml: yamlOf(2),
    start: { kind: "nothing" },
    steps: [{ done: serves(2) }],
    nodes: 2,
    made: 2,
    ended: 0,
    perSlot: 1,
  },
  {
    name: "replace",
    yaml: yamlOf(1),
    start: steady(1),
    steps: [fall, { done: serves(1) }],
    nodes: 1,
    made: 1,
    ended: 1,
    perSlot: 1,
  },
  {
    name: "surge",
    yaml: yamlOf(1, "surge"),
    start: steady(1),
    steps: [fall, { done: serves(1) }],
    nodes: 1,
    made: 1,
    ended: 1,
    perSlot: 2,
  },
  {
    name: "terminate",
    yaml: yamlOf(1),
    start: steady(1),
    steps: [order, { done: serves(1) }],
    nodes: 1,
    made: 1,
    ended: 1,
    perSlot: 1,
  },
  {
    name: "scale-down",
    yaml: yamlOf(1),
    start: steady(2),
    steps: [resize(1), { done: serves(1) }],
    nodes: 1,
    made: 0,
    ended: 1,
    perSlot: 1,
  },
  {
    name: "adopt",
    yaml: yamlOf(2),
    start: { kind: "bought-unknown" },
    steps: [{ done: serves(2) }],
    nodes: 2,
    made: 0,
    ended: 0,
    perSlot: 1,
  },
  {
    name: "lost-database",
    yaml: yamlOf(2),
    start: { kind: "steady", nodes: 2, amid: "database-lost" },
    steps: [{ done: serves(2) }],
    nodes: 2,
    made: 0,
    ended: 0,
    perSlot: 1,
  },
  {
    name: "lost-instance",
    yaml: yamlOf(1),
    start: { kind: "steady", nodes: 1, amid: "instance-deleted" },
    steps: [
      {
        begin: (world, story) => void remember(world, story, "lost"),
        done: (world, story) => isGone(world, story, "lost"),
      },
      { done: serves(1) },
    ],
    nodes: 1,
    made: 1,
    ended: 1,
    perSlot: 1,
  },
  {
    name: "buy-and-replace",
    yaml: yamlOf(1),
    start: { kind: "nothing" },
    steps: [{ done: serves(1) }, fall, { done: serves(1) }],
    nodes: 1,
    made: 2,
    ended: 1,
    perSlot: 1,
  },
];

export const CLASSES: readonly ProviderClass[] = ["token", "name", "tag-only"];

export function workflowOf(name: string): Workflow {
  const found = WORKFLOWS.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new Error(`no workflow ${name}: ${WORKFLOWS.map((one) => one.name).join(", ")}`);
}
