/** Keys of `slurm`: how the fleet is mirrored into a Slurm cluster, and which node is whose. */
import { choice, duration, flag, integer, mapping, text, words } from "./field.ts";

export const SLURM = {
  enabled: flag("Drain and release nodes in Slurm too, and wait for its jobs.", {
    default: false,
    restart: true,
  }),
  transport: choice(
    "`rest` asks slurmrestd, `cli` runs Slurm's commands; `auto`: `rest` where `rest` is set.",
    ["auto", "rest", "cli"],
    { default: "auto", restart: true },
  ),
  rest: text("slurmrestd: `unix:/path/of/socket` or `http(s)://host:port`.", {
    form: "slurm-rest",
    restart: true,
  }),
  token_file: text("File with the JWT for slurmrestd; read at each call.", { restart: true }),
  user: text("User of the JWT.", { form: "user", restart: true }),
  command_dir: text("Folder of `scontrol`, `sinfo` and `squeue`; `PATH` otherwise.", {
    restart: true,
  }),
  conf: text("slurm.conf for the commands; `SLURM_CONF` or Slurm's own default otherwise.", {
    restart: true,
  }),
  conf_server: text("`host[:port]` from which set-ups of `slurm-node` take the configuration.", {
    form: "slurm-hosts",
    restart: true,
  }),
  munge_key_file: text("Munge key that set-ups of `slurm-node` send; read at each set-up.", {
    restart: true,
  }),
  // Two lists in half a minute keep a resting fleet below 12 RPCs a minute at slurmctld.
  poll_interval: duration("Time between two lists while nothing is awaited.", {
    min: 1_000,
    max: 600_000,
    default: 30_000,
    restart: true,
  }),
  // A dead controller blocks the commands for 9 s.
  timeout: duration("Limit of one call.", {
    min: 1_000,
    max: 30_000,
    default: 10_000,
    restart: true,
  }),
  node_aliases: words(
    "From a NodeName to a node id, the name of an owned host or an instance id.",
    { default: {} },
  ),
  mirror: mapping("What is written to Slurm.", {
    cordon: flag("Drain and release nodes; without it Slurm is only asked for jobs.", {
      default: true,
      restart: true,
    }),
  }),
  on_undrain: choice(
    "What a person's undrain of a node in repair means: `cancel` the repair, or `enforce` it once.",
    ["cancel", "enforce"],
    { default: "cancel" },
  ),
  on_foreign_drain: choice(
    "Others drain, reserve (MAINT) or reboot a node: `hold` its repair, or `repair` all the same.",
    ["hold", "repair"],
    { default: "hold", since: "0.1.0" },
  ),
  pods: mapping(
    "Sizes a StatefulSet whose pods are Slurm's nodes by the jobs of a partition.",
    {
      stateful_set: text("Its name, as in `slurm-compute`; without it nothing is sized.", {
        form: "dns-label",
      }),
      namespace: text("Its namespace.", { form: "dns-label", default: "slurm" }),
      partition: text("Partition of its nodes, whose pending jobs are counted.", {
        form: "partition",
      }),
      min_replicas: integer("Least pods.", { max: 1_000, default: 0 }),
      max_replicas: integer("Most pods; slurm.conf has a line for each.", { min: 1, max: 1_000 }),
      scale_down_after: duration("How long fewer pods are needed before nodes are drained.", {
        min: 10_000,
        max: 86_400_000,
        default: 600_000,
      }),
    },
    { since: "0.1.0" },
  ),
};

/** A pool's own keys. */
export const POOL_SLURM = {
  partition: text("Partition of the pool's nodes in Slurm.", { form: "partition" }),
  nodes: text("NodeNames by slot, as a hostlist such as `n[0-7]`: slot i has the i-th name.", {
    form: "hostlist",
  }),
  power_save: flag("Slurm's ResumeProgram and SuspendProgram size the pool, name by name.", {
    default: false,
  }),
};
