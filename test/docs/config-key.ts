/**
 * What each key of the configuration does, and its default, for `docs/configuration.md`. Types,
 * bounds and allowed values come from the readers; every default that begins with `=` is proven by
 * reading a configuration with it and one without.
 */

/** `=VALUE`, a default in words, `required`, or empty for none; then what the key does. */
type Row = readonly [fallback: string, help: string];
type Rows = Readonly<Record<string, Row>>;

const NO_EFFECT = "Accepted for compatibility; has no effect in this version.";

const SPEND: Rows = {
  max_per_hour: ["", "Most that may be billed, in US dollars an hour."],
  max_instances: ["", "Most instances that may exist."],
};

export const DRAIN: Rows = {
  mode: ["=evict", "`evict` asks Kubernetes to evict pods; `wait` waits until work has left."],
  grace_period: ["=5m", "Time a pod gets to end; -1 uses each pod's own."],
  ignore_daemonsets: ["=true", "Leave pods of DaemonSets alone."],
  delete_emptydir_data: ["=true", "Evict pods that have emptyDir volumes."],
  force: ["=false", "Evict pods that no controller starts again."],
  timeout: ["30m", "Limit of the whole drain; 0 means no limit."],
  fatal_timeout: ["`timeout` where set, else 10m", "Limit for hardware that is certainly broken."],
  on_timeout: ["=auto", "`auto` terminates a node with broken hardware and holds any other."],
  unknown_wait: ["=1m", "Wait where nobody can tell what runs on the node."],
};

const HEALTH: Rows = {
  unhealthy_threshold: ["=2", "Unhealthy checks in a row before a node is repaired."],
  auto_replace: ["=true", "Repair and replace unhealthy nodes without a person."],
  max_unavailable: ['="20%"', "Nodes of the pool that may be out at once: a number or a share."],
};

/** Keys that a pool and `defaults` share. */
const SHARED: Rows = {
  ssh_keys: ["=[]", "Names or texts of public keys that the provider puts on the instance."],
  labels: ["={}", "Labels of the pool's nodes, in Kubernetes too."],
  replacement: ["=drain-first", "`surge` buys and verifies the new node before the old one ends."],
  ssh_user: ["=ubuntu", "User who logs in for the set-up."],
  ssh_private_key_path: ["", "Private key for the set-up; required with `setup_commands`."],
  ssh_host_key: [
    "=first-use",
    "How host keys are checked: `first-use`, `provider`, `known_hosts:PATH` or `insecure`.",
  ],
  become: ["=auto", "Use sudo for the set-up."],
  push_agent: ["=false", "Copy the agent's binary to the machine over SSH."],
  ssh_port: ["=22", "Port of the machine's SSH server."],
  ssh_jump: ["", "`[user@]host[:port]` of a machine in between."],
  bootstrap_attempts: ["=3", "Set-ups that are tried before the instance is given up."],
  ip_wait_timeout: ["=15m", "How long an instance may have no address."],
  ssh_timeout: ["=10m", "How long SSH is tried."],
  ssh_connect_timeout: ["=30s", "Limit of one attempt to connect."],
  command_timeout: ["=5m", "Limit of one set-up command."],
};

export const ROOT_KEYS: Rows = {
  server: ["", "The control plane itself."],
  providers: ["", "Where instances are bought: a mapping from a name to its settings."],
  pools: ["", "A list of pools, or a mapping from names to pools."],
  defaults: ["", "Values for pools that do not set them."],
  global: ["", "Older name of `defaults`, with `agent` beside."],
  drain: ["", "Values of `drain` for every pool."],
  safety: ["", "Limits of what may be done at once, and of cost."],
  kubernetes: ["", "The cluster whose Nodes are marked and drained."],
  instance_manager: ["", "Timeouts of instances."],
};

export const SERVER: Rows = {
  address: ["`:50051`, every interface", "Where the control plane listens, `host:port`."],
  external_address: ["", "Address that nodes dial, if it is not the one they are reached from."],
  heartbeat_interval: ["=30s", "How often agents report."],
  heartbeat_timeout: ["3 × `heartbeat_interval`", "Silence after which a node counts as silent."],
  health_check_interval: ["=1m", "How often agents run a full check."],
  autoscale_interval: ["=30s", "How often autoscalers decide."],
  sample_interval: ["=10s", "How often agents read the GPUs."],
  health_policy_path: ["the built-in policy", "File with the health policy."],
  state_path: ["see `--state`", "Folder of the store, or the URL of a libSQL server."],
  metrics_retention: ["=1h", NO_EFFECT],
  "notifier.type": ["=noop", "Who is told of cordons and drains."],
  "notifier.webhook.cordon_url": ["", "Called when a node is cordoned; empty means never."],
  "notifier.webhook.uncordon_url": ["", "Called when a node is uncordoned."],
  "notifier.webhook.drain_url": ["", "Called when a drain starts."],
  "notifier.webhook.drain_status_url": ["", "Asked whether the drain has ended."],
  "notifier.webhook.timeout": ["30s", "Limit of one call."],
  "notifier.webhook.headers": ["", "Headers; `${NAME}` is taken from the environment."],
  "notifier.webhook.secret_env": ["", "Environment variable with the key that signs each call."],
  "notifier.webhook.retry.attempts": ["5", "Calls before one is given up."],
  "notifier.webhook.retry.initial": ["1s", "First pause between calls."],
  "notifier.webhook.retry.max": ["1m", "Longest pause between calls."],
  "tls.cert_file": ["required without `own_ca`", "Certificate chain, PEM; read again each minute."],
  "tls.key_file": ["required without `own_ca`", "Its private key, PEM."],
  "tls.own_ca": ["=false", "Make an authority of the fleet's own; agents pin its fingerprint."],
  "tls.client_ca_file": ["", "Ask everyone for a certificate of this authority."],
  "auth.token_env": ["=NAVARCH_AUTH_TOKEN", "Environment variable with the shared token."],
  "auth.token_file": ["", "File with the shared token."],
  "auth.admin_token_file": ["", "File with the administrator's token, instead of a generated one."],
  "auth.node_token_file": ["", NO_EFFECT],
  "auth.allow_anonymous": ["=false", "Accept requests without a token. Dangerous."],
  "auth.metrics_auth": ["=false", "Ask for a viewer's token at `/metrics`."],
};

export const MANAGER: Rows = {
  registration_timeout: ["=10m", "Time for a new instance's agent to report."],
  stale_check_interval: ["=1m", NO_EFFECT],
  retain_terminated: ["=24h", "How long the record of a node that is gone is kept."],
};

export const GLOBAL_AGENT: Rows = {
  server: ["", "As `server.external_address`, where that is not set."],
  heartbeat_interval: ["", "As `server.heartbeat_interval`, where that is not set."],
  health_check_interval: ["", "As `server.health_check_interval`, where that is not set."],
};

const limits = (rung: string, what: string, [pool, domain, fleet]: readonly string[]): Rows => ({
  [`budgets.${rung}.pool`]: [`="${pool}"`, `Nodes of a pool that may be ${what} at once.`],
  [`budgets.${rung}.domain`]: [`="${domain}"`, "The same for a failure domain, such as a rack."],
  [`budgets.${rung}.fleet`]: [`="${fleet}"`, "The same for the fleet."],
});

export const SAFETY: Rows = {
  "budgets.isolate.window": ["=10m", "New cordons for health are counted over this time."],
  ...limits("isolate", "cordoned for health", ["20%", "20%", "10%"]),
  ...limits("drain", "drained", ["10%", "10%", "5%"]),
  "budgets.gpu_reset.pool": ['="10%"', NO_EFFECT],
  "budgets.gpu_reset.domain": ['="10%"', NO_EFFECT],
  "budgets.gpu_reset.fleet": ['="5%"', NO_EFFECT],
  ...limits("reboot", "rebooted", ["10%", "10%", "5%"]),
  ...limits("replace", "replaced", ["5%", "5%", "2%"]),
  "breaker.enabled": ["=true", "Stop repairs when more fails than hardware fails."],
  "breaker.window": ["=10m", "Short window over which failures are counted."],
  "breaker.long_window": ["=1h", "Long window."],
  "breaker.probability": ["=0.000001", "A burst less likely than this stops repairs."],
  "breaker.rate": ["=5", "Expected failures per 1,000 node-days before any were seen."],
  "breaker.rate_min": ["=1", "Lowest rate that is learned."],
  "breaker.rate_max": ["=20", "Highest rate that is learned."],
  "spend.max_per_hour": SPEND["max_per_hour"] ?? ["", ""],
  "spend.max_instances": SPEND["max_instances"] ?? ["", ""],
};

export const KUBERNETES: Rows = {
  enabled: ["=auto", "`true`, `false`, or `auto`: on if credentials of a cluster are found."],
  kubeconfig: ["", "Kubeconfig file; `KUBECONFIG` or the pod's account otherwise."],
  context: ["", "Context of the kubeconfig."],
  pod_label: ["=navarch.dev/pool", "Label of the pods that are a pool's queue."],
  on_uncordon: [
    "=cancel",
    "What `kubectl uncordon` of a node in repair means: `cancel` the repair, or `enforce` it.",
  ],
  uncordon_review: ["=1h", "How often a broken node that was uncordoned is reported; 0 is never."],
  agent_account: ["the shipped one", "`NAMESPACE/NAME` of the agents' service account."],
  writes_per_second_max: ["=200", "Most evictions and deletions a second."],
  ready: ["=gpus", "Before a node serves: its Node is Ready and has its GPUs, is Ready, or none."],
  ready_timeout: ["=15m", "How long that may take."],
  "join.server": ["as the cluster says", "`https://host:port` that joining machines dial."],
  "mirror.cordon": ["=true", "Cordon and uncordon Node objects."],
  "mirror.drain": ["=true", "Evict pods."],
  "mirror.condition": ["=true", "Write the conditions `GPUHealthy` and `NavarchManaged`."],
  "mirror.labels": ["=true", "Write the pool's labels."],
  "mirror.delete_node": ["=true", "Delete the Node object of an instance that is gone."],
  "mirror.taint": ["=false", "Taint a cordoned Node as well."],
};

const under = (prefix: string, rows: Rows): Rows =>
  Object.fromEntries(Object.entries(rows).map(([key, row]) => [`${prefix}.${key}`, row]));

export const DEFAULTS: Rows = {
  ...SHARED,
  cooldown_period: ["", "As a pool's `scaling.cooldown_period`."],
  ...under("health", HEALTH),
  ...under("drain", DRAIN),
};

export const POOL: Rows = {
  provider: ["", "Provider of the pool's instances; or `providers` for several."],
  providers: ["", "List of providers, or `adopt: true` for machines that are not bought."],
  "providers[].name": ["required", "Provider."],
  "providers[].priority": ["position in the list", "Lower is asked first."],
  "providers[].weight": ["1", NO_EFFECT],
  "providers[].regions": ["the pool's", "Regions, in order."],
  "providers[].zones": ["the pool's", "Zones, in order."],
  "providers[].instance_type": ["the pool's", "Instance type as this provider calls it."],
  instance_type: ["required to buy", "Abstract type such as `h100-8x`, or the provider's."],
  gpus: ["what the type is known to have", "GPUs that each node must have; 0 expects none."],
  region: ["", "Region for a single provider."],
  zones: ["=[]", "Zones for a single provider."],
  strategy: ["=priority", "In this version always by `priority`, lowest first."],
  adopt: ["=false", "Machines that were not bought count towards the pool's size."],
  ...SHARED,
  "scaling.min_nodes": ["required", "Fewest nodes."],
  "scaling.max_nodes": ["required", "Most nodes."],
  "scaling.cooldown_period": ["=5m", "Pause between two changes of size by the autoscaler."],
  ...under("health", HEALTH),
  "repair.ladder": [
    "replace, after one reboot for faults of links or fabric",
    "Repair steps, mildest first: `reboot`, `replace`; `gpu-reset` is skipped in this version.",
  ],
  ...under("spend", SPEND),
  ...under("drain", DRAIN),
  setup_commands: ["", "Shell commands or `template: NAME`, run over SSH on a new machine."],
  setup_templates: ["", "Built-in set-ups: `agent`, `kubernetes-join`, `slurm-node`."],
};

export const AUTOSCALER: Rows = {
  type: ["required", "Kind of autoscaler; each takes the keys named after it below."],
  scale_up_threshold: ["80", "`reactive`: grow above this utilisation, in percent."],
  scale_down_threshold: ["20", "`reactive`: shrink below this utilisation, in percent."],
  step: ["1", "`reactive`: nodes added or removed at once."],
  jobs_per_node: ["10", "`queue`: jobs that one node serves."],
  count: ["pods", "`queue`: count pods, or the GPUs that they ask for."],
  schedule: ["required", "`scheduled`: list of windows."],
  "schedule[].days": ["every day", "Days, `mon` or `monday`."],
  "schedule[].start_hour": ["required", 'Hour 0 to 23, or `"HH:MM"`.'],
  "schedule[].end_hour": ["required", 'Hour 0 to 24, or `"HH:MM"`; may be past midnight.'],
  "schedule[].min_nodes": ["required", "Fewest nodes in the window."],
  "schedule[].max_nodes": ["required", "Most nodes in the window."],
  timezone: ["UTC", "`scheduled`: IANA name, for example `Europe/Oslo`."],
  fallback: ["", "`scheduled`, `predictive`: autoscaler inside it, or outside every window."],
  lookback_window: ["10", "`predictive`: samples that make the trend."],
  growth_factor: ["1.2", "`predictive`: multiplier of the trend."],
  mode: ["max", "`composite`: which of the answers counts."],
  autoscalers: ["required", "`composite`: list of autoscalers."],
};

export const PROVIDER: Rows = {
  type: ["the provider's name", "Kind of provider."],
  "spend.max_per_hour": SPEND["max_per_hour"] ?? ["", ""],
  "spend.max_instances": SPEND["max_instances"] ?? ["", ""],
  endpoint: ["", NO_EFFECT],
  rate_limit: ["", NO_EFFECT],
  "rate_limit.requests_per_second": ["", NO_EFFECT],
  "rate_limit.launch_interval": ["", NO_EFFECT],
  gpu_count: ["8", "GPUs of each simulated instance."],
  gpu_type: ["", "Name of the simulated GPUs."],
  class: ["token", "What makes a purchase idempotent: a client token, a name, or tags only."],
  boot_delay: ["1s (`fake`), 0 (`machine`)", "Simulated time to boot."],
  create_delay: ["0", "Simulated time of a purchase."],
  terminate_delay: ["1s", "Simulated time of a termination."],
  settle: ["10s for `tag-only`, else 0", "How long an accepted purchase may stay unlisted."],
  list_lag: ["0", "How old the simulated list is."],
  retention: ["1h", "How long ended instances stay listed."],
  agent_restart: ["never", "How long after its end an agent is started again."],
  price_per_hour: ["unknown", "Price of an instance, US dollars."],
  state_dir: ["below `--state`", "Folder of the simulated cloud or the machines."],
  agent_path: ["the one beside `navarch`", "Agent that simulated instances run."],
  faults: ["", "File with faults of the simulated cloud."],
  image: ["a built one", "Folder of the machines' root file system."],
  network: ["", "First octets of the machines' private network, as `10.77`."],
  disk: ["disk", "`disk`, `tmpfs:SIZE` or `ext4:SIZE`."],
  tell_host_keys: ["true", "Whether the provider reports each machine's SSH host key."],
};
