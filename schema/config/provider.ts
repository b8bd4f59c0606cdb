/** Keys of a provider, with the types that have each. */
import * as v from "valibot";
import {
  type Table,
  type Key,
  keyWith,
  type Meta,
  metaOf,
  choice,
  duration,
  flag,
  hosts,
  integer,
  mapping,
  number,
  own,
  prose,
  text,
} from "./field.ts";
import { SPEND } from "./safety.ts";

export const PROVIDER_TYPES = [
  "lambda",
  "gcp",
  "aws",
  "coreweave",
  "kwok",
  "fake",
  "docker",
  "ssh",
  "static",
  "machine",
  "command",
] as const;
export type ProviderType = (typeof PROVIDER_TYPES)[number];

type Types = readonly ProviderType[];
const lambda: Types = ["lambda"];
const gcp: Types = ["gcp"];
const aws: Types = ["aws"];
const bought: Types = ["gcp", "aws"];
const coreweave: Types = ["coreweave"];
const kwok: Types = ["kwok"];
const fake: Types = ["fake"];
const machine: Types = ["machine"];
const command: Types = ["command"];
const owned: Types = ["ssh", "static"];
/** Types whose machines take a while until the cloud calls them running. */
const booting: Types = PROVIDER_TYPES.filter((type) => !owned.includes(type));
/** Types whose API this version calls. */
const calls: Types = ["lambda", "gcp", "aws"];
const simulated: Types = ["fake", "machine"];
const imaged: Types = ["gcp", "aws", "docker", "machine"];
const calling: Types = PROVIDER_TYPES.filter(
  (type) => type !== "machine" && type !== "command" && type !== "ssh" && type !== "kwok",
);

/** Types whose machines belong to the operator: claimed and released, never bought or ended. */
export function isOwnedType(type: ProviderType): boolean {
  return owned.includes(type);
}

/** What every provider has beside its settings. */
export const PROVIDER = {
  type: choice("Kind of provider.", PROVIDER_TYPES, { or: "the provider's name" }),
  spend: mapping("Ceilings of the provider.", SPEND),
};

export const SETTINGS = {
  api_key_env: text("Environment variable with the key.", {
    types: lambda,
    form: "env",
    default: "LAMBDA_API_KEY",
  }),
  api_key_file: text("File with the key.", { types: lambda, opened: true }),
  project: text("Id of the project that buys.", {
    types: gcp,
    or: "the one of `credentials_file`",
  }),
  zone: text("Zone of pools that name none.", { types: gcp }),
  region: text("Region: a provider buys in one.", { types: aws, or: "AWS's own settings" }),
  profile: text("Profile in AWS's shared files.", { types: aws, or: "see credentials" }),
  kubeconfig: text("Kubeconfig file of the cluster.", {
    types: ["coreweave", "kwok"],
    opened: true,
    or: "the pod's service account, else `KUBECONFIG`, else `~/.kube/config`",
  }),
  context: text("Context of the kubeconfig.", { types: kwok, or: "the current one" }),
  namespace: text("Nothing: NodePools have no namespace.", { types: coreweave, unused: true }),
  credentials_file: text("File with credentials.", { types: bought, opened: true }),
  gpu_count: integer("GPUs of each simulated instance.", { types: simulated, min: 1, default: 8 }),
  gpu_type: text("Name of the simulated GPUs.", { types: fake }),
  class: choice(
    "What makes a purchase idempotent: a client token, a name, or tags only.",
    ["token", "name", "tag-only"],
    { types: ["fake", "command"], or: "token (`fake`), tag-only (`command`)" },
  ),
  boot_delay: duration("Simulated time to boot.", {
    types: simulated,
    or: "1s (`fake`), 0 (`machine`)",
  }),
  create_delay: duration("Simulated time of a purchase.", { types: fake, or: "0" }),
  terminate_delay: duration("Simulated time of a termination.", { types: fake, or: "1s" }),
  settle: duration("How long an accepted purchase may stay unlisted.", {
    types: ["fake", "command", "lambda", "aws"],
    or: "for `tag-only` 10s (`fake`) or 10m; 5m (`aws`); else 0",
  }),
  registration_timeout: duration(
    "Time for an agent to report, from when the cloud calls its instance running.",
    { types: booting, min: 1, or: "the server's" },
  ),
  boot_timeout: duration("How long the cloud may call an instance booting before it is ended.", {
    types: booting,
    min: 1,
    or: "1h (`coreweave`), else 30m",
  }),
  list_lag: duration("How old the simulated list is.", { types: fake, or: "0" }),
  retention: duration("How long ended instances stay listed.", { types: fake, or: "1h" }),
  agent_restart: duration("How long after its end an agent is started again.", {
    types: fake,
    or: "never",
  }),
  price_per_hour: number("Price of an instance.", {
    unit: "US dollars an hour",
    types: fake,
    min: 0,
    or: "unknown",
  }),
  prices: hosts("Prices of instance types, as `p5.48xlarge=55.04`, US dollars an hour.", {
    types: ["gcp", "aws", "coreweave", "kwok"],
    or: "unknown where the cloud tells none",
  }),
  types: hosts("Further instance types and their GPUs, as `gd-8xh100ib-i128=8`.", {
    types: kwok,
    or: "the catalogue alone",
  }),
  taint: flag("Whether virtual Nodes repel pods that do not tolerate `kwok.x-k8s.io/node`.", {
    types: kwok,
    default: false,
  }),
  run_agents: flag("Whether the control plane runs the simulated agents.", {
    types: kwok,
    default: true,
  }),
  state_dir: text("Folder of the simulated cloud, the agents or the machines.", {
    types: ["fake", "kwok", "machine"],
    or: "below `--state`",
  }),
  agent_path: text("Agent that simulated instances run.", {
    types: fake,
    or: "the one beside `navarch`",
  }),
  faults: text("File with faults of the simulated cloud.", { types: fake }),
  image: text("Image of the instances; at `machine` the folder of a root file system.", {
    types: imaged,
    or: "a built one (`machine`)",
  }),
  network: text("Network; at `machine` the first octets of a private one, as `10.77`.", {
    types: imaged,
  }),
  subnet: text("Subnet.", { types: bought }),
  subnets: hosts("A subnet for each zone, as `us-east-1a=subnet-…`.", { types: aws }),
  security_groups: hosts("Ids of security groups.", { types: aws, or: "the network's own" }),
  instance_profile: text("IAM instance profile of the instances: name or ARN.", { types: aws }),
  efa_interfaces: integer("Number of EFA interfaces.", { types: aws, min: 0, max: 32, default: 0 }),
  user_data_file: text("File with user data for each instance, at most 16 KB.", { types: aws }),
  disk_gb: integer("Size of the disk.", { unit: "GB", types: bought, min: 1 }),
  disk_type: text("Kind of the boot disk, for example `pd-ssd`.", {
    types: gcp,
    or: "`pd-balanced`, or `hyperdisk-balanced` where the machine needs it",
  }),
  external_ip: flag("Whether instances get a public address.", {
    types: bought,
    or: "true (`gcp`), the subnet's (`aws`)",
  }),
  service_account: text("Service account of the instances.", { types: gcp }),
  disk: text("`disk`, `tmpfs:SIZE` or `ext4:SIZE`.", { types: machine, or: "disk" }),
  command: text("Program that buys, and its arguments, separated by spaces; run without a shell.", {
    types: command,
    form: "program",
    required: true,
  }),
  protocol: choice(
    "What the provider speaks: JSON with a program, or scripts of bash that print names.",
    ["json", "shell"],
    { types: command, default: "json" },
  ),
  start: prose("Script that starts a worker and prints its name; `protocol: shell`.", {
    types: command,
  }),
  stop: prose("Script that ends the worker `$1`; `protocol: shell`.", { types: command }),
  list: prose("Script that prints each worker on a line; `protocol: shell`.", { types: command }),
  batch_start: prose("Script that starts `$1` workers with the label `$2`; `protocol: shell`.", {
    types: command,
  }),
  name_prefix: text("How the names of this fleet's workers begin; `protocol: shell`.", {
    types: command,
    or: "all that `list` prints are",
  }),
  timeout: duration("Time that the program has for one call.", {
    types: command,
    min: 1_000,
    max: 55_000,
    default: 50_000,
  }),
  reboot: flag("Whether the program can reboot an instance.", { types: command, default: false }),
  hosts: hosts("The machines, each `[user@]host[:port]`.", { types: owned, or: "`inventory`" }),
  inventory: text("File that lists the machines.", { types: owned, or: "`hosts`" }),
  tell_host_keys: flag("Whether the provider reports each machine's SSH host key.", {
    types: machine,
    or: "true",
  }),
  endpoint: text("Address of the provider's API.", {
    types: calling,
    form: "url",
    unused: true,
    usedBy: calls,
    or: "the cloud's own",
  }),
  rate_limit: own("Requests a second, or a mapping.", "number or mapping", {
    types: calling,
    unused: true,
    usedBy: calls,
    inner: () => RATE_LIMIT,
  }),
};

/** The settings of a type, without the mark `unused` where it uses them. */
function tableOf(type: ProviderType): Table {
  const settings = Object.entries<Key>(SETTINGS).flatMap(([key, field]): [string, Key][] => {
    const meta = metaOf(field);
    if (meta.kind === "mapping" || meta.types?.includes(type) !== true) return [];
    const isUsed = meta.usedBy?.includes(type) === true;
    return [[key, isUsed ? v.pipe(field, v.metadata({ unused: undefined })) : field]];
  });
  return Object.fromEntries(settings);
}

const TABLES: ReadonlyMap<ProviderType, Table> = new Map(
  PROVIDER_TYPES.map((type) => [type, tableOf(type)]),
);
export const settingsOf = (type: ProviderType): Table => TABLES.get(type) ?? {};

/** What an entry of `providers` may have. */
export const PROVIDER_KEYS = { ...PROVIDER, ...SETTINGS };

const sold: Types = PROVIDER_TYPES.filter(
  (type) => !owned.includes(type) && type !== "machine" && type !== "docker",
);

const MACHINE_TYPES = {
  image: bought,
  network: gcp,
  subnet: bought,
  subnets: aws,
  security_groups: aws,
  instance_profile: aws,
  efa_interfaces: aws,
  user_data_file: aws,
  disk_gb: bought,
  disk_type: gcp,
  external_ip: bought,
  service_account: gcp,
  prices: sold,
} satisfies Partial<Record<keyof typeof SETTINGS, Types>>;

/** Settings that a pool, or its entry of a provider, may have too, for its own purchases. */
export const MACHINE: { readonly [key: string]: Key<unknown, Meta> } = Object.fromEntries(
  Object.entries(MACHINE_TYPES).map(([key, types]) => {
    const { default: _, ...meta }: Meta = metaOf(SETTINGS[key as "image"]);
    const help = key === "image" ? "Image of the instances." : meta.help;
    const where = types === sold ? "" : ` At ${types.map((type) => `\`${type}\``).join(", ")}.`;
    return [key, keyWith({ ...meta, help: `${help}${where}`, types, or: "the provider's" })];
  }),
);

export const RATE_LIMIT = {
  requests_per_second: number("Requests a second.", {
    min: 0.001,
    or: "0.9 (`lambda`), 20 (`gcp`, `aws`)",
  }),
  launch_interval: duration("Pause between two purchases.", {
    or: "12.5s (`lambda`), 500ms after five (`aws`)",
  }),
};
