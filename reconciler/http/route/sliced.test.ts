import { expect, test } from "bun:test";
import { openSliced } from "./sliced.ts";

test("openSliced() gives every slice in order, and none that is empty", async () => {
  const text = await new Response(openSliced(["a", "", "é", "b"])).text();
  expect(text).toBe("aéb");
  expect(await new Response(openSliced([])).text()).toBe("");
});

test("openSliced() makes nothing before it is read", async () => {
  let made = 0;
  function* slices(): Generator<string> {
    yield `${++made}`;
  }
  const stream = openSliced(slices());
  for (let i = 0; i < 5; i++) await new Promise((resolve) => void setImmediate(resolve));
  expect(made).toBe(0);
  expect(await new Response(stream).text()).toBe("1");
});

test("openSliced() waits for a reader that is slow, and ends with one that goes", async () => {
  let made = 0;
  const ended = Promise.withResolvers<void>();
  const slice = new Uint8Array(256 * 1_024);
  /** 256 MiB in all: no socket takes that much ahead. */
  function* slices(): Generator<Uint8Array> {
    try {
      while (made < 1_024) {
        made++;
        yield slice;
      }
    } finally {
      ended.resolve();
    }
  }
  using server = Bun.serve({ port: 0, fetch: () => new Response(openSliced(slices())) });
  const begun = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port ?? 0,
    socket: {
      open: (one) => void one.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      data(one) {
        one.pause();
        begun.resolve();
      },
    },
  });
  await begun.promise;
  // Until it stands still: nothing was made while the process had a thousand turns to.
  for (let before = -1; before !== made;) {
    before = made;
    for (let i = 0; i < 1_000; i++) await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(made).toBeLessThan(256);
  socket.terminate();
  await ended.promise;
  expect(made).toBeLessThan(256);
});

test("openSliced() cuts a reader off that takes a little now and then, by the clock", async () => {
  const ended = Promise.withResolvers<void>();
  const slice = new Uint8Array(256 * 1_024);
  function* slices(): Generator<Uint8Array> {
    try {
      for (let i = 0; i < 1_024; i++) yield slice;
    } finally {
      ended.resolve();
    }
  }
  using server = Bun.serve({ port: 0, fetch: () => new Response(openSliced(slices(), 400)) });
  const closed = Promise.withResolvers<void>();
  let received = 0;
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port ?? 0,
    socket: {
      open: (one) => void one.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      data(one, bytes) {
        received += bytes.length;
        one.pause();
        setTimeout(() => one.resume(), 50);
      },
      close: () => closed.resolve(),
    },
  });
  await ended.promise;
  // The kernel's buffers are drained, and then the connection is over, without the last chunk.
  await closed.promise;
  expect(received).toBeLessThan(256 * 1_024 * 1_024);
  socket.terminate();
}, 20_000);

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
  const failed = await new Response(openSliced(slices())).text().catch((e: unknown) => String(e));
  expect(failed).toContain("no more");
});
