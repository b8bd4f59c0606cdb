/**
 * `navarch config init`: a configuration to begin with, on standard output. It speaks TLS under an
 * authority of its own, because the guides' plain http lets anyone on the way read every token.
 */
import type { Command } from "../command.ts";
import { EXIT } from "../failure.ts";

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

export const configInit: Command = {
  name: ["config", "init"],
  usage: "",
  summary: "write a first configuration",
  examples: ["navarch config init >navarch.yaml"],
  more: "It goes to standard output: navarch config init >navarch.yaml",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    context.world.out(CONFIG_SAMPLE);
    return EXIT.done;
  },
};
