/**
 * `navarch join-token create|list|revoke`: tokens that admit machines without a credential. The
 * secret is printed once, alone on standard output.
 */
import type { JoinTokenView } from "../../schema/join.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { readSpan, textFlag, textsFlag } from "../flag.ts";
import { formatTable, plain } from "../table.ts";

export const joinTokenCreate: Command = {
  name: ["join-token", "create"],
  usage: "--pool P",
  summary: "create a token that lets machines join a pool",
  examples: ["navarch join-token create --pool training --uses 4 --ttl 2h"],
  flags: [
    textFlag("pool", "P", "pool that machines may join with it"),
    textFlag("uses", "N", "number of machines that may join (default 1)"),
    textFlag("ttl", "T", "lifetime (default 1h, maximum 720h)"),
    textFlag("node", "ID", "valid only for this node, which may exist or be revoked"),
    textsFlag("label", "TEXT", "purpose"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const pool = flags.text("pool");
    if (pool === null) return usage("join-token create needs --pool");
    const uses = flags.text("uses") ?? "1";
    if (!/^[1-9]\d{0,4}$/.test(uses))
      return usage(`--uses: expected a whole number from 1, found "${uses}"`);
    const ttl = flags.text("ttl");
    const span = ttl === null ? null : readSpan("ttl", ttl);
    if (span?.ok === false) return span;
    const node = flags.text("node");
    const answer = await client.send<JoinTokenView>("POST", "/join-tokens", ["token"], {
      pool,
      uses: Number(uses),
      label: flags.texts("label").join(" "),
      ...(ttl === null ? {} : { ttl }),
      ...(node === null ? {} : { node }),
    });
    if (!answer.ok) return answer;
    const { value } = answer;
    if (context.format === "table" || context.format === "wide") {
      const many = value.uses_max === 1 ? "once" : `${value.uses_max} times`;
      const until = formatTime(value.expires_at);
      world.err(
        `${plain(`Join token ${value.id} for pool ${value.pool}, ${many}, until ${until}`)}; `,
      );
      world.err("it is not shown again:\n");
    }
    const secret = `${plain(value.token)}\n`;
    return { data: value, names: [value.id], human: () => secret };
  },
};

const HEAD = ["ID", "Pool", "Node ID", "State", "Uses", "Label", "Created", "Expires"];

export const joinTokenList: Command = {
  name: ["join-token", "list"],
  usage: "",
  summary: "list join tokens, without their secrets",
  examples: ["navarch join-token list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ join_tokens: JoinTokenView[] }>("/join-tokens", [
      "join_tokens",
    ]);
    if (!answer.ok) return answer;
    const { join_tokens: tokens } = answer.value;
    const rows = tokens.map((one) => [
      one.id,
      one.pool,
      one.node_id ?? "",
      one.state,
      `${one.uses}/${one.uses_max}`,
      one.label,
      formatTime(one.created_at),
      formatTime(one.expires_at),
    ]);
    return {
      data: tokens,
      names: tokens.map((one) => one.id),
      human: (_wide, style) => formatTable(HEAD, rows, style),
      empty: "No join tokens found",
    };
  },
};

export const joinTokenRevoke: Command = {
  name: ["join-token", "revoke"],
  usage: "<id>",
  summary: "revoke a join token; joined machines stay",
  examples: ["navarch join-token revoke j-1"],
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const path = `/join-tokens/${encodeURIComponent(id)}`;
    const answer = await client.send<JoinTokenView>("DELETE", path, ["id"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () => `Join token ${plain(value.id)} revoked\n`;
    return { data: value, names: [value.id], human };
  },
};
