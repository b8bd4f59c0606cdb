/**
 * `navarch config init`: writes a first configuration. Without a provider it uses TLS with its own
 * CA, since plain http exposes every token; with the fake cloud it listens on this machine only.
 *
 * Adapter: writes a file.
 */
import { writeFileSync } from "node:fs";
import { quoteShell } from "../../bootstrap/template/quote.ts";
import type { Command } from "../command.ts";
import { EXIT, type Failure, unknownName, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { explainPath } from "../path.ts";
import { plain } from "../table.ts";

const CONFIG_SAMPLE = `# Written by navarch config init. After a change:
# navarch config validate FILE
server:
  address: 0.0.0.0:50051
  # What nodes dial, if it is not this machine's own address:
  # external_address: navarch.example:50051

  # A certificate authority of its own, in the state folder. \`navarch doctor\` and the log show its
  # fingerprint; agents and the command line take that as --ca-fingerprint. Instead of it, a
  # certificate that you bring: { cert_file: …, key_file: … }.
  tls: { own_ca: true }

# Where machines are bought. Without a provider, nodes that report are watched and none is created.
# providers:
#   fake: {}

# pools:
#   - name: training
#     provider: fake
#     instance_type: h100-8x
#     scaling: { min_nodes: 1, max_nodes: 3 }
#     health: { auto_replace: true }
`;

function fakeSample(pool: string): string {
  return `# Written by navarch config init --provider fake. After a change:
# navarch config validate FILE
# Start it with:
# navarch control-plane --config FILE --state ./state
server:
  # Only this machine: the fake cloud is for trying Navarch out.
  address: 127.0.0.1:50051

  # Needed as soon as other machines are to reach it:
  # tls: { own_ca: true }

# A cloud in memory: its instances cost nothing, and are gone when the control plane stops.
providers:
  fake: {}

pools:
  - name: ${pool}
    provider: fake
    instance_type: h100-8x
    # The control plane keeps the size within these bounds.
    scaling: { min_nodes: 1, max_nodes: 3 }
    # A node with a GPU fault is drained and replaced, within the safety budgets.
    health: { auto_replace: true }
`;
}

/** The provider's entry, and the instance type and place that the pool names there. */
const CLOUDS = {
  command: {
    entry: `  # A program of yours, see docs/provider-command.md. Try it first:
  # navarch provider check command --config FILE
  command:
    command: /etc/navarch/provider
    # How your cloud recognises a repeated purchase: token, name or tag-only.
    class: tag-only`,
    place: "instance_type: YOUR-TYPE",
  },
  lambda: {
    entry: `  # The key is taken from LAMBDA_API_KEY, or from api_key_file. Try it first:
  # navarch provider check lambda --config FILE
  lambda:`,
    place: "instance_type: h100-8x\n    region: us-west-2",
  },
  aws: {
    entry: `  # Credentials and permissions: docs/provider-aws.md. Try it first:
  # navarch doctor providers --config FILE
  aws:
    region: us-east-1
    # With NVIDIA's driver, for example a Deep Learning AMI. Replace it:
    image: ami-0123456789abcdef0
    # A subnet for each zone, and a group that lets the control plane in at TCP port 22:
    # subnets: [us-east-1a=subnet-0123456789abcdef0]
    # security_groups: [sg-0123456789abcdef0]`,
    place: `instance_type: h100-8x
    zones: [us-east-1a]
    # Name of an EC2 key pair. Replace it:
    ssh_keys: [ops]`,
  },
  gcp: {
    entry: `  # Credentials and roles: docs/provider-gcp.md. Try it first:
  # navarch doctor providers --config FILE
  gcp:
    project: my-project
    # With NVIDIA's driver. Replace it:
    image: projects/my-project/global/images/family/gpu-ubuntu`,
    place: `instance_type: h100-8x
    zones: [us-central1-a]
    # USER:KEY, with the public half of ssh_private_key_path. Replace it:
    ssh_keys: ["ubuntu:ssh-ed25519 AAAA"]`,
  },
};

/** A cloud that costs money: one machine, ceilings, and set-up over SSH. */
function cloudSample(provider: keyof typeof CLOUDS, pool: string): string {
  const { entry, place } = CLOUDS[provider];
  return `# Written by navarch config init --provider ${provider}. After a change:
# navarch config validate FILE
server:
  address: 0.0.0.0:50051
  # What the new machines dial. Replace it:
  external_address: navarch.example:50051
  # A certificate authority of its own; machines set up over SSH are given it.
  tls: { own_ca: true }

providers:
${entry}
    # Nothing is bought beyond these.
    spend: { max_instances: 2 }

pools:
  - name: ${pool}
    provider: ${provider}
    ${place}
    scaling: { min_nodes: 1, max_nodes: 2 }
    health: { auto_replace: true }
    # The new machine becomes a node over SSH. Nothing is bought before the key can be read.
    ssh_user: ubuntu
    ssh_private_key_path: ~/.ssh/id_ed25519
    setup_templates: [agent]
`;
}

/** Machines that the reader has: nothing is bought, and a broken one waits for a person. */
function ownedSample(pool: string): string {
  return `# Written by navarch config init --provider ssh. After a change:
# navarch config validate FILE
server:
  address: 0.0.0.0:50051
  # What the machines dial. Replace it:
  external_address: navarch.example:50051
  # A certificate authority of its own; machines set up over SSH are given it.
  tls: { own_ca: true }

# Your machines, see docs/provider-ssh.md. Try them first; nothing is changed on them:
# navarch provider check ssh --config FILE
providers:
  ssh:
    # Or a file with names, racks and host keys:
    # inventory: /etc/navarch/hosts.yaml
    hosts: [10.0.0.7, 10.0.0.8, 10.0.0.9]

pools:
  - name: ${pool}
    provider: ssh
    scaling: { min_nodes: 3, max_nodes: 3 }
    # A broken machine is drained, rebooted once, then held for you with an RMA record; without
    # reboots: repair: { ladder: [] }
    # A machine becomes a node over SSH.
    ssh_user: ubuntu
    ssh_private_key_path: ~/.ssh/id_ed25519
    setup_templates: [agent]
`;
}

/** Nodes of a Kubernetes cluster: the DaemonSet brings the agent. */
function coreweaveSample(pool: string): string {
  return `# Written by navarch config init --provider coreweave. After a change:
# navarch config validate FILE
server:
  address: 0.0.0.0:50051
  # What the agents dial. Replace it:
  external_address: navarch.example:50051
  # A certificate authority of its own.
  tls: { own_ca: true }

# See docs/provider-coreweave.md. Try it first:
# navarch doctor providers --config FILE
providers:
  coreweave:
    kubeconfig: /etc/navarch/coreweave.kubeconfig
    # Nothing is bought beyond these.
    spend: { max_instances: 2 }

# The same cluster.
kubernetes: { enabled: true, kubeconfig: /etc/navarch/coreweave.kubeconfig }

pools:
  - name: ${pool}
    provider: coreweave
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 2 }
    health: { auto_replace: true }
`;
}

/** Virtual nodes of a cluster that the reader has: nothing is bought. */
function kwokSample(pool: string): string {
  return `# Written by navarch config init --provider kwok. After a change:
# navarch config validate FILE
# Start it with KUBECONFIG set:
# navarch control-plane --config FILE --state ./state
server:
  # Only this machine: virtual nodes are for rehearsals.
  address: 127.0.0.1:50051

# Each machine is a virtual Node that KWOK keeps alive, with a simulated agent. It costs nothing.
# See docs/provider-kwok.md. Try it first:
# navarch doctor providers --config FILE
providers:
  kwok:
    # Without it: the pod's service account, else KUBECONFIG, else ~/.kube/config
    # kubeconfig: /etc/navarch/test.kubeconfig

# The same cluster.
kubernetes: { enabled: true }

pools:
  - name: ${pool}
    provider: kwok
    instance_type: dgxh100.80g
    # The control plane keeps the size within these bounds.
    scaling: { min_nodes: 4, max_nodes: 8 }
    # A node with a GPU fault is drained and replaced, within the safety budgets.
    health: { auto_replace: true }
`;
}

const PROVIDERS = [
  "none",
  "fake",
  "kwok",
  "command",
  "lambda",
  "aws",
  "gcp",
  "coreweave",
  "ssh",
] as const;
const POOL_DEFAULT = "training";
const FILE_DEFAULT = "navarch.yaml";

export const configInit: Command = {
  name: ["config", "init"],
  usage: "",
  summary: "write a first configuration",
  examples: ["navarch config init --provider fake --out navarch.yaml"],
  more:
    "Writes to standard output or --out. On a terminal without flags it asks questions.\n" +
    "Without a provider, nodes that report are watched and none is created.",
  flags: [
    {
      name: "provider",
      kind: "text",
      value: "P",
      values: PROVIDERS,
      help: `provider of machines: ${PROVIDERS.join(", ")} (default none)`,
    },
    textFlag("out", "FILE", "write to this new file"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const silent = !world.tty || flags.from("provider") !== null || flags.from("out") !== null;
    const ask = (question: string, instead: string): string => {
      const said = silent ? null : world.ask(`${question} [${instead}]`);
      return (said ?? "").trim() === "" ? instead : (said ?? "").trim();
    };
    const asked = silent ? "none" : ask(`Provider (${PROVIDERS.join(", ")})`, "fake");
    const wanted = flags.text("provider") ?? asked;
    const provider = PROVIDERS.find((one) => one === wanted.toLowerCase());
    if (provider === undefined) return unknownName("provider", wanted, PROVIDERS);
    const pool = provider === "none" ? POOL_DEFAULT : ask("Name of the first pool", POOL_DEFAULT);
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(pool)) {
      return usage(`pool name "${pool}": expected lower-case letters, digits and dashes`);
    }
    const { SCHEMA_LINE } = await import("../../reconciler/config/json-schema.ts");
    const text = `${SCHEMA_LINE}${sampleOf(provider, pool)}`;
    const out = flags.text("out") ?? (silent ? null : ask("File", FILE_DEFAULT));
    if (out === null) {
      world.out(text);
      return EXIT.done;
    }
    const named = plain(quoteShell(out));
    const written = writeNew(
      out,
      text.replaceAll(/\bFILE\b/g, () => named),
    );
    if (written !== null) return written;
    world.err(sayNext(provider, named));
    return EXIT.done;
  },
};

/** What has to be done before the lines that follow can succeed; `null` = nothing. */
const BEFORE: Record<(typeof PROVIDERS)[number], string | null> = {
  none: null,
  fake: null,
  kwok: "set KUBECONFIG to a test cluster",
  command: "put your program in its place, see the comments of the file",
  lambda: "set LAMBDA_API_KEY, and replace what the file says",
  aws: "replace what the file says",
  gcp: "replace what the file says",
  coreweave: "put the kubeconfig in its place, see the comments of the file",
  ssh: "list your machines in the file",
};

/** Each line can be copied as it is. `--state` is where the others find address and token. */
function sayNext(provider: (typeof PROVIDERS)[number], file: string): string {
  const before = BEFORE[provider];
  const looks = [
    `navarch config validate ${file}`,
    `navarch doctor providers --config ${file}  # changes and buys nothing`,
  ];
  const lines = [
    ...(before === null ? [] : looks),
    `navarch control-plane --config ${file} --state ./state`,
    "navarch list --state ./state  # in another terminal",
  ];
  const head = before === null ? "Next:" : `Next, ${before}. Then:`;
  return `Wrote ${file}\n${head}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

function sampleOf(provider: (typeof PROVIDERS)[number], pool: string): string {
  if (provider === "none") return CONFIG_SAMPLE;
  if (provider === "ssh") return ownedSample(pool);
  if (provider === "coreweave") return coreweaveSample(pool);
  if (provider === "kwok") return kwokSample(pool);
  return provider === "fake" ? fakeSample(pool) : cloudSample(provider, pool);
}

/** Never overwrites: the file may be the configuration of a fleet. `null` = written. */
function writeNew(out: string, text: string): Failure | null {
  try {
    writeFileSync(out, text, { flag: "wx" });
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    return usage(`--out ${out}: ${exists ? "exists already" : explainPath(out, error)}`);
  }
  return null;
}
