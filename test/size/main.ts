/**
 * `npm run once -- size BASE`: how large the product is by room, at BASE and here: files, lines of
 * code (no comments), the median file, nodes of the syntax tree, exports with one user and with
 * none. Reads commits, never the working tree. Exit 0.
 */
import { parseArgs } from "node:util";
import { ROOT } from "../../build/product.ts";
import { countSource, isProduct, type RoomSize, sizeOf } from "./count.ts";

function git(...words: string[]): string {
  const child = Bun.spawnSync(["git", ...words], { cwd: ROOT });
  if (child.exitCode !== 0) throw new Error(`git ${words[0]}: ${child.stderr.toString()}`);
  return child.stdout.toString();
}

function sizeAt(commit: string): Map<string, RoomSize> {
  const paths = git("ls-tree", "-r", "--name-only", commit).split("\n").filter(isProduct);
  return sizeOf(paths.map((path) => countSource(path, git("show", `${commit}:${path}`))));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { figures: { type: "string" } },
});
const [base = "HEAD"] = positionals;
const before = sizeAt(base);
const after = sizeAt("HEAD");

const COLUMNS = ["files", "lines", "nodes", "median", "oneUser", "noUser"] as const;
const NONE: RoomSize = { files: 0, lines: 0, nodes: 0, median: 0, oneUser: 0, noUser: 0 };
const rooms = [...new Set([...before.keys(), ...after.keys()])].filter((room) => room !== "whole");
const figures: Record<string, RoomSize> = {};
console.log(["room".padEnd(24), ...COLUMNS.map((name) => name.padStart(16))].join(""));
for (const room of [...rooms, "whole"]) {
  const [was = NONE, is = NONE] = [before.get(room), after.get(room)];
  figures[`${room} before`] = was;
  figures[room] = is;
  const cells = COLUMNS.map((column) => `${was[column]} ${is[column]}`.padStart(16));
  console.log([room.padEnd(24), ...cells].join(""));
}
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures));
