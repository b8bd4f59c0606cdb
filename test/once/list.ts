/**
 * Long proofs by name, for `npm run once -- NAME`: one line each. The command is run by Bun from
 * the repository's root with `--figures FILE` added; it writes its figures there as one JSON object
 * and ends with status 0 only if what it proves holds.
 */
export type Proof = {
  summary: string;
  command: readonly string[];
  /** One word that the proof needs after its name. */
  takes: string | null;
};

export const PROOFS: Readonly<Record<string, Proof>> = {
  beside: proof(
    "this commit beside another, `-- beside COMMIT`: what costs more than it did",
    "test/bench/pair-main.ts",
    "COMMIT",
  ),
  size: proof(
    "how large the product is by room, `-- size COMMIT`: at that commit and here",
    "test/size/main.ts",
    "COMMIT",
  ),
  torture: proof("2,000 kills of the control plane", "test/torture/main.ts --kills 2000"),
  leader: proof("100 kills of the leader of two", "test/real/leader-loop.ts --kills 100"),
  schedules: proof(
    "two million schedules of crashes",
    "test/sim/schedules/main.ts --schedules 1000000 --seed 20261121",
  ),
  interleavings: proof(
    "10,000 stories of a person and the product on one cordon of a real API server",
    "test/real/kubernetes/interleaving.ts --count 10000",
  ),
  outage: proof(
    "an API server that is away for ten minutes in the middle of a drain",
    "test/real/kubernetes/outage.ts --minutes 10",
  ),
  scenarios: proof("the shipped scenarios that take minutes", "test/simulate/main.ts"),
  m2: proof(
    "one fault each two seconds of 1,000 nodes: verdict to Node marked (M2)",
    "test/bench/kubernetes/main.ts m2",
  ),
  m3: proof(
    "750 of 1,500 nodes fail in a second: all marked, and held back by defaults (M3)",
    "test/bench/kubernetes/main.ts m3 --runs 10",
  ),
  m4: proof(
    "11,250 pods leave 750 nodes: plain, with disruption budgets, by defaults (M4)",
    "test/bench/kubernetes/main.ts m4 --runs 5",
  ),
  m8: proof(
    "200 faults in the kernel logs of compiled agents: line to Node marked (M8)",
    "test/bench/kubernetes/main.ts m8",
  ),
  swarm: proof(
    "fleets in Slurm, Kubernetes and both: faults, people, crashes, frozen leaders, I1–I14",
    "test/sim/seeds-main.ts --seeds 6 --seed 20261123",
  ),
  "swarm-agentpools": proof(
    "AgentPools in trouble under one and two control planes: pods, people, API, silence, freezes",
    "test/sim/pools/main.ts --seeds 20 --seed 20261123 --hours 3 --planes 1,2",
  ),
  flood: proof(
    "an XID in two floods of /dev/kmsg, six times each, beside the agent of NAVARCH_FLOOD_PEER",
    "test/real/flood/main.ts",
  ),
  "kwok-fleet": proof(
    "2,000 virtual nodes with their agents: bought, serving, and again after a kill",
    "test/real/workflow/kwok-fleet-main.ts",
  ),
  "slurm-fleet": proof(
    "1,000 virtual nodes in Slurm and Kubernetes: verdict to drained, 200 at once, RPCs at rest",
    "test/real/slurm/fleet-main.ts",
  ),
  "agentpool-fleet": proof(
    "200 AgentPools of 50 workers at rest, and 1,000 claims at once",
    "test/real/agentpool/fleet-main.ts",
  ),
  "agentpool-agents": proof(
    "2,000 workers of AgentPools join with bound tokens, report, and are claimed",
    "test/real/agentpool/agents-main.ts",
  ),
  "slurm-kills": proof(
    "kill -9 at each write and call of a repair in Slurm and Kubernetes",
    "test/real/slurm/kill/kill-main.ts",
  ),
  attacks: proof(
    "what one credential or none can do to 10,000 honest agents, on a leader and a standby",
    "test/attack/main.ts",
  ),
  "console-streams": proof(
    "10,000 nodes with 1,000 live pages open and without: ingest, the reconciler's period, pages",
    "test/bench/console/main.ts",
  ),
  machines: proof(
    "20 bare machines one by one, then ten at once five times: SSH to agent, and what it costs",
    "test/bench/machine/main.ts",
  ),
  day: proof(
    "a day of the guide's complete example against two clouds with trouble, as a chart",
    "test/day/main.ts",
  ),
  mutations: proof("every mechanism taken out is missed", "test/sim/mutation/main.ts"),
  mutants: proof(
    "800 generated faults in what decides, keeps, proves and sees: how many a test notices",
    "test/mutant/main.ts --sample 800",
  ),
  "mutants-slurm": proof(
    "150 generated faults in the Slurm rooms: how many their own tests notice",
    "test/mutant/main.ts --rooms slurm --sample 150 --seed 20261123 --tests slurm --workers 1",
  ),
  "mutants-agentpool": proof(
    "100 generated faults in the AgentPool rooms: how many their own tests notice",
    "test/mutant/main.ts --rooms agentpool --sample 100 --seed 20261123 --tests agentpool",
  ),
};

/** `command` is a program with its arguments, separated by single spaces. */
function proof(summary: string, command: string, takes: string | null = null): Proof {
  return { summary, command: command.split(" "), takes };
}
