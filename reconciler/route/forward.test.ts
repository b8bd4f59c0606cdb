import { afterEach, expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/clock.ts";
import { Forward } from "./forward.ts";

let leader: Bun.Server<undefined> | null = null;
afterEach(async () => {
  await leader?.stop(true);
  leader = null;
});

const slow = (): Request => {
  const body = new ReadableStream<Uint8Array>({ start: (feed) => feed.enqueue(Buffer.from("{")) });
  return new Request("http://standby/v1/nodes/n/cordon", { method: "POST", body });
};

test("request() passes on what is whole while any number of others are being sent", async () => {
  const serving = Bun.serve<undefined>({
    port: 0,
    fetch: async (r) => new Response(await r.text()),
  });
  leader = serving;
  const forward = new Forward({
    clock: new VirtualClock(),
    leader: () => `http://127.0.0.1:${serving.port}`,
    sign: () => "s",
  });
  for (let n = 0; n < 300; n++) void forward.request(slow(), "10.0.0.66");
  const whole = new Request("http://standby/v1/nodes/n/cordon", { method: "POST", body: "{}" });
  const answer = await forward.request(whole, "10.0.0.1");
  expect([answer.status, await answer.text()]).toEqual([200, "{}"]);
});
