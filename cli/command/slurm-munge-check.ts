/**
 * `navarch slurm munge-check`: which key each machine's munged holds, from credentials that the
 * machines made. While a key is replaced it tells the machines that were missed.
 */
import { expandHostlist } from "../../reconciler/core/slurm/hostlist.ts";
import { readBounded } from "../bounded-input.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import type { Read } from "../host-flag.ts";
import { isMadeWith, readCredential } from "../munge-credential.ts";
import { readKey } from "../munge-key-file.ts";
import { show } from "../show.ts";
import { formatTable } from "../table.ts";

/** What munged of a machine has: the given key, the old one, or neither. */
type Held = "new" | "old" | "other" | "unreadable" | "no answer";
type Row = { node: string; key: Held; why: string };

const LINE = /^\s*([A-Za-z0-9][A-Za-z0-9._-]{0,252})(?::\s*|\s+)(.*)$/;

export const slurmMungeCheck: Command = {
  name: ["slurm", "munge-check"],
  usage: "--in FILE <file>",
  summary: "find the machines that do not hold a munge key yet",
  examples: ["navarch slurm munge-check --in munge.key -"],
  more:
    "The file, or - for standard input, has one line NAME: CREDENTIAL per machine, which\n" +
    "munge -n has just printed there, as with pdsh -w gpu-[1-9] munge -n. Run munge as an\n" +
    "ordinary user, because Slurm accepts a credential of root as root. Nothing is sent\n" +
    "anywhere. Exits with 1 if a machine does not hold the key.",
  flags: [
    { ...textFlag("in", "FILE", "the key that every machine should hold"), short: "i" },
    textFlag("old", "FILE", "the previous key, to name machines that still hold it"),
    textFlag("nodes", "LIST", "hostlist of the machines that must be in the file"),
  ],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const { flags, words } = context;
    const [path = ""] = words;
    const given = flags.text("in");
    if (given === null) return usage("slurm munge-check needs --in FILE, the new key");
    const key = readKey("--in", given);
    if (!key.ok) return key;
    const oldPath = flags.text("old");
    const old = oldPath === null ? null : readKey("--old", oldPath);
    if (old?.ok === false) return old;
    if (old !== null && Buffer.from(old.value).equals(key.value)) {
      return usage(`--old ${oldPath ?? ""}: is the same key as --in`);
    }
    const wanted = expandHostlist(flags.text("nodes") ?? "");
    if (wanted.kind === "invalid") return usage(`--nodes: ${wanted.message}`);
    const text = await readBounded(path);
    if (!text.ok) return text;
    const rows = judge(text.value, wanted.names, key.value, old?.value ?? null);
    return rows.ok ? tell(context, rows.value) : rows;
  },
};

function judge(
  text: string,
  wanted: readonly string[],
  key: Uint8Array,
  old: Uint8Array | null,
): Read<Row[]> {
  const rows = new Map<string, Row>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const [, node, word] = LINE.exec(line) ?? [];
    if (node === undefined || word === undefined || line.trim().startsWith("MUNGE:")) {
      return usage(`line ${index + 1}: expected NAME: CREDENTIAL, as pdsh and clush print it`);
    }
    const row = judgeOne(node, word, key, old);
    const before = rows.get(node);
    // Of several answers the one that is not done counts.
    if (before === undefined || before.key === "new") rows.set(node, row);
  }
  for (const node of wanted) {
    if (!rows.has(node)) rows.set(node, { node, key: "no answer", why: "no line for it" });
  }
  if (rows.size === 0) return usage("there is no credential in it: did munge -n fail everywhere?");
  return { ok: true, value: [...rows.values()] };
}

function judgeOne(node: string, word: string, key: Uint8Array, old: Uint8Array | null): Row {
  const credential = readCredential(word);
  // What was printed instead may be anything; it is not repeated.
  if (typeof credential === "string") return { node, key: "unreadable", why: credential };
  if (isMadeWith(credential, key)) return { node, key: "new", why: "" };
  if (old !== null && isMadeWith(credential, old)) return { node, key: "old", why: "" };
  return { node, key: "other", why: old === null ? "not the key of --in" : "neither key" };
}

async function tell(context: Context, rows: readonly Row[]): Promise<number | Failure> {
  const order = new Intl.Collator("en", { numeric: true });
  const sorted = [...rows].sort((a, b) => order.compare(a.node, b.node));
  const left = sorted.filter(({ key }) => key !== "new");
  await show(context, {
    data: sorted,
    names: left.map(({ node }) => node),
    human: (_wide, style) => {
      const cells = sorted.map(({ node, key, why }) => [node, key, why]);
      return formatTable(["Node", "Key", "Why"], cells, style);
    },
  });
  if (left.length === 0) return EXIT.done;
  context.world.err(`${left.length} of ${rows.length} machines do not hold the key of --in\n`);
  return EXIT.failed;
}
