/** The sections of a configuration file. */
import { mapping, own } from "./field.ts";
import { AGENT_POOL } from "./agent-pool.ts";
import { KUBERNETES } from "./kubernetes.ts";
import { DEFAULTS, DRAIN, POOL } from "./pool.ts";
import { PROVIDER_KEYS } from "./provider.ts";
import { PROVISIONER } from "./provisioner.ts";
import { QUEUE } from "./queue.ts";
import { SAFETY } from "./safety.ts";
import { SIMULATION } from "./simulation.ts";
import { SLURM } from "./slurm.ts";
import { AGENT, MANAGER, SERVER } from "./server.ts";

/** The reader takes the name itself: in a mapping it is the key. */
const NAMED_POOL = {
  name: own("Name of the pool; in a mapping the pool's key.", "text", { required: true }),
  ...POOL,
};

export const ROOT = {
  server: mapping("The control plane itself.", SERVER),
  providers: own(
    "Where instances are bought: a mapping from a name to its settings.",
    "mapping of mappings",
    {
      inner: () => PROVIDER_KEYS,
    },
  ),
  pools: own("A list of pools, or a mapping from names to pools.", "list or mapping", {
    inner: () => NAMED_POOL,
  }),
  agent_pools: own(
    "Pools in velda's form: each becomes a pool and a provider of scripts of its name.",
    "list of mappings",
    { inner: () => AGENT_POOL },
  ),
  defaults: mapping("Values for pools that do not set them.", DEFAULTS),
  global: mapping("Older name of `defaults`, with `agent` beside.", {
    ...DEFAULTS,
    agent: mapping("What agents are told.", AGENT),
  }),
  drain: mapping("Values of `drain` for every pool.", DRAIN),
  safety: mapping("Limits of what may be done at once, and of cost.", SAFETY),
  kubernetes: mapping("The cluster whose Nodes are marked and drained.", KUBERNETES),
  slurm: mapping("The Slurm cluster whose nodes are drained and released.", SLURM, {
    since: "0.1.0",
  }),
  provisioners: own("A cluster whose AgentPools are pools of worker pods.", "list of mappings", {
    inner: () => PROVISIONER,
    restart: true,
  }),
  queue: mapping("The demand queue: tasks that workers lease.", QUEUE, { since: "0.1.0" }),
  simulation: mapping("Rehearsals on simulated machines.", SIMULATION, { since: "0.1.0" }),
  instance_manager: mapping("Timeouts of instances.", MANAGER),
};
