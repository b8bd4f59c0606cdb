import { expect, test } from "bun:test";
import { openSliced } from "./sliced.ts";

test("openSliced() gives every slice in order, and none that is empty", async () => {
  const text = await new Response(openSliced(["a", "", "é", "b"])).text();
  expect(text).toBe("aéb");
  expect(await new Response(openSliced([])).text()).toBe("");
});

test("openSliced() makes nothing before it is read, and then one slice at a time", async () => {
  let made = 0;
  let ended = false;
  function* slices(): Generator<string> {
    try {
      for (;;) yield `${++made},`;
    } finally {
      ended = true;
    }
  }
  const stream = openSliced(slices());
  await turns(5);
  expect(made).toBe(0);
  const reader = stream.getReader();
  for (const wanted of [1, 2, 3]) {
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toBe(`${wanted},`);
    await turns(5);
    expect(made).toBe(wanted);
  }
  await reader.cancel();
  expect([made, ended]).toEqual([3, true]);
});

test("openSliced() lets what waits run between two slices", async () => {
  const order: string[] = [];
  function* slices(): Generator<string> {
    for (const one of ["1", "2", "3"]) {
      order.push(one);
      setImmediate(() => order.push("other"));
      yield one;
    }
  }
  await new Response(openSliced(slices())).text();
  expect(order.slice(0, 5)).toEqual(["1", "other", "2", "other", "3"]);
});

test("openSliced() fails its reader when a slice cannot be made", async () => {
  function* slices(): Generator<string> {
    yield "a";
    throw new Error("no more");
  }
  const reader = openSliced(slices()).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("a");
  const failed = await reader.read().catch((error: unknown) => String(error));
  expect(failed).toContain("no more");
});

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
}
