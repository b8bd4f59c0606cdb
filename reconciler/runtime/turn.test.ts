import { expect, test } from "bun:test";
import { nextTurn } from "./turn.ts";

test.each(["a timer", "a socket"])("a turn begun by %s serves what has arrived", async (by) => {
  const served: string[] = [];
  const done = Promise.withResolvers<string[]>();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_, bytes) => void served.push(String(bytes)) },
  });
  const begin = (): void => {
    // It lies in the kernel from now on.
    client.write("report");
    void nextTurn().then(() => done.resolve([...served]));
  };
  const other = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: begin },
  });
  const to = (port: number) =>
    Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } });
  const client = await to(server.port);
  const starter = await to(other.port);
  await Bun.sleep(50);
  if (by === "a timer") setTimeout(begin, 1);
  else starter.write("go");
  expect(await done.promise).toEqual(["report"]);
  for (const one of [client, starter]) one.end();
  for (const one of [server, other]) one.stop(true);
});
