/** Keys of `kubernetes`: how the fleet is mirrored into a cluster. */
import { auto, choice, duration, flag, integer, mapping, text, texts } from "./field.ts";

/** Off: three series for each node of the cluster and resource, managed or not. */
export const NODE_RESOURCES = {
  enabled: flag("Serve `node_resource_requests`, `_limits` and `_occupancy` of each Node.", {
    default: false,
    restart: true,
  }),
  resources: texts("Resources to sum over the running pods.", {
    default: ["cpu", "memory", "nvidia.com/gpu"],
    restart: true,
  }),
  labels: texts("Labels of Nodes that become labels of the series.", {
    default: [],
    restart: true,
  }),
};

export const KUBERNETES = {
  enabled: auto("`true`, `false`, or `auto`: on if credentials of a cluster are found.", {
    default: "auto",
    restart: true,
  }),
  kubeconfig: text("Kubeconfig file; `KUBECONFIG` or the pod's account otherwise.", {
    restart: true,
  }),
  context: text("Context of the kubeconfig.", { restart: true }),
  pod_label: text("Label of the pods that are a pool's queue.", {
    form: "label-key",
    default: "navarch.dev/pool",
    restart: true,
  }),
  on_uncordon: choice(
    "What `kubectl uncordon` of a node in repair means: `cancel` the repair, or `enforce` it.",
    ["cancel", "enforce"],
    { default: "cancel" },
  ),
  // Broken hardware that takes work again costs jobs: people are reminded each hour.
  uncordon_review: duration(
    "How often a broken node that was uncordoned is reported; 0 is never.",
    { min: 0, default: 3_600_000 },
  ),
  agent_account: text("`NAMESPACE/NAME` of the agents' service account.", {
    form: "account",
    or: "the shipped one",
    restart: true,
  }),
  join: mapping("How machines join the cluster.", {
    server: text("`https://host:port` that joining machines connect to.", {
      form: "api-server",
      or: "as the cluster says",
      restart: true,
    }),
  }),
  mirror: mapping("What is written to the cluster.", {
    cordon: flag("Cordon and uncordon Node objects.", { default: true, restart: true }),
    drain: flag("Evict pods.", { default: true, restart: true }),
    condition: flag("Write the conditions `GPUHealthy` and `NavarchManaged`.", {
      default: true,
      restart: true,
    }),
    labels: flag("Write the pool's labels and taints.", { default: true, restart: true }),
    delete_node: flag("Delete the Node object of an instance that is gone.", {
      default: true,
      restart: true,
    }),
    taint: flag("Taint a cordoned Node as well.", { default: false, restart: true }),
  }),
  slinky: auto(
    "Slurm by Slinky's operator: `true`, `false`, or `auto`: on if pods of a NodeSet run.",
    { default: "auto", restart: true },
  ),
  node_resources: mapping("Requests of pods as metrics.", NODE_RESOURCES),
  ready: choice(
    "Check before a node serves. `gpus`: Node is Ready and lists all GPUs; `node`: it is Ready.",
    ["gpus", "node", "off"],
    { default: "gpus" },
  ),
  // A GPU operator that builds a driver needs some ten minutes until its device plugin speaks.
  ready_timeout: duration("How long that may take.", { min: 1, default: 900_000 }),
  // Off by default: a kubelet that is stopped for its upgrade is no reason to end a machine.
  not_ready_after: duration(
    "How long a Node may be NotReady or gone beside its agent before it is repaired; 0 is never.",
    { min: 0, default: 0 },
  ),
  // Twice what a burst of 750 nodes with 15 pods each needs to be empty within 2.5 minutes.
  writes_per_second_max: integer("Most evictions and deletions a second.", {
    min: 1,
    max: 10_000,
    default: 200,
    restart: true,
  }),
};
