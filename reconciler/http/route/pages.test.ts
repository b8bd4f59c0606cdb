import { expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { Pages } from "./pages.ts";

async function* slices(): AsyncGenerator<string> {
  yield "a";
  yield "b";
}
const open = (): { clock: VirtualClock; pages: Pages } => {
  const clock = new VirtualClock();
  return { clock, pages: new Pages(clock, { own: 2, all: 3 }) };
};

test("open() gives a caller its places and all together theirs, until pages end", async () => {
  const { pages } = open();
  const own = [pages.open("a", slices()), pages.open("a", slices())];
  expect(pages.open("a", slices())).toBeNull();
  const other = pages.open("b", slices());
  expect(pages.open("c", slices())).toBeNull();
  expect(await Array.fromAsync(own[0] ?? [])).toEqual(["a", "b"]);
  expect(pages.open("c", slices())).not.toBeNull();
  for await (const _ of other ?? []) break;
  expect(pages.open("a", slices())).not.toBeNull();
});

test("a page that nobody begins to read gives its place back", async () => {
  const { clock, pages } = open();
  for (let i = 0; i < 2; i++) pages.open("a", slices());
  expect(pages.open("a", slices())).toBeNull();
  await clock.pass(5_000);
  expect(pages.open("a", slices())).not.toBeNull();
});

test("a page that fails gives its place back, once", async () => {
  const { clock, pages } = open();
  async function* broken(): AsyncGenerator<string> {
    yield "a";
    throw new Error("no more");
  }
  const page = pages.open("a", broken());
  expect(Array.fromAsync(page ?? [])).rejects.toThrow("no more");
  await clock.pass(10_000);
  const rest = ["a", "a", "b"].map((caller) => pages.open(caller, slices()) !== null);
  expect([...rest, pages.open("c", slices())]).toEqual([true, true, true, null]);
});
