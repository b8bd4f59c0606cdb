/**
 * `navarch token create|list|revoke|rotate`. A secret is printed once, alone on standard output, so
 * that it can go into a variable or a file without entering the scroll-back.
 */
import type { TokenView } from "../../schema/credential.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { unknownName, usage } from "../failure.ts";
import { readSpan, textFlag, textsFlag } from "../flag.ts";
import { formatTable, plain, type Style } from "../table.ts";

/** Credentials of nodes are created by enrolment only. */
const ROLES = ["admin", "operator", "viewer", "slurm"] as const;

export const tokenCreate: Command = {
  name: ["token", "create"],
  usage: "--role R",
  summary: "create a token; its secret is printed once",
  examples: ["navarch token create --role operator --label alice"],
  flags: [
    { name: "role", kind: "text", value: "R", values: ROLES, help: ROLES.join(", ") },
    textsFlag("label", "TEXT", "owner or purpose"),
    textFlag("expires-in", "T", "lifetime, for example 720h (default: unlimited)"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const role = flags.text("role");
    if (role === null) return usage(`token create needs --role (${ROLES.join(", ")})`);
    if (!ROLES.some((one) => one === role)) return unknownName("role", role, ROLES);
    const expires = flags.text("expires-in");
    const span = expires === null ? null : readSpan("expires-in", expires);
    if (span?.ok === false) return span;
    const answer = await client.send<TokenView>("POST", "/tokens", ["token"], {
      role,
      label: flags.texts("label").join(" "),
      ...(expires === null ? {} : { expires_in: expires }),
    });
    if (!answer.ok) return answer;
    const { value } = answer;
    if (context.format === "table" || context.format === "wide") {
      const until = value.expires_at === null ? "" : `, until ${formatTime(value.expires_at)}`;
      world.err(
        `${plain(`Token ${value.id} for role ${value.role}${until}`)}; it is not shown again:\n`,
      );
    }
    const secret = `${plain(value.token)}\n`;
    return { data: value, names: [value.id], human: () => secret };
  },
};

export const tokenList: Command = {
  name: ["token", "list"],
  usage: "",
  summary: "list tokens, without their secrets",
  examples: ["navarch token list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ tokens: TokenView[] }>("/tokens", ["tokens"]);
    if (!answer.ok) return answer;
    const { tokens } = answer.value;
    return {
      data: tokens,
      names: tokens.map((token) => token.id),
      human: (_wide, style) => formatTokens(tokens, style),
      empty: "No tokens found",
    };
  },
};

const HEAD = ["ID", "Role", "Label", "Node ID", "Created", "Expires", "Revoked"];

function formatTokens(tokens: readonly TokenView[], style: Style): string {
  const rows = tokens.map((one) => [
    one.id,
    one.role,
    one.label ?? "",
    one.node_id ?? "",
    formatTime(one.created_at),
    one.expires_at === null ? "never" : formatTime(one.expires_at),
    formatTime(one.revoked_at),
  ]);
  return formatTable(HEAD, rows, style);
}

export const tokenRevoke: Command = {
  name: ["token", "revoke"],
  usage: "<id>",
  summary: "revoke a token",
  examples: ["navarch token revoke t-1"],
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const path = `/tokens/${encodeURIComponent(id)}`;
    const answer = await client.send<TokenView>("DELETE", path, ["id"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () => `Token ${plain(value.id)} revoked\n`;
    return { data: value, names: [value.id], human };
  },
};

export const tokenRotate: Command = {
  name: ["token", "rotate"],
  usage: "--node ID",
  summary: "give a node a new credential",
  examples: ["navarch token rotate --node gpu-7"],
  more:
    "It is sent with the answer to the node's next report. Older credentials end when it is\n" +
    "used, and after an hour in any case. Each credential is also rotated daily.\n" +
    "Not after a theft: whoever reports first gets the new one, so it is refused while two\n" +
    "senders report as the node. Then: navarch token revoke node:ID, and let the machine join\n" +
    "again with navarch join-token create --node ID.",
  flags: [textFlag("node", "ID", "node to give a new credential (required)")],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const node = context.flags.text("node");
    if (node === null) return usage("token rotate needs --node");
    const path = `/tokens/${encodeURIComponent(`node:${node}`)}/rotate`;
    const answer = await client.send<TokenView>("POST", path, ["id"], {});
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () =>
      `Node ${node}: credential ${value.rotation ?? ""} comes with its next report\n`;
    return { data: value, names: [value.id], human };
  },
};
