/**
 * A caller that speaks HTTP by hand: it says what it likes, as slowly as it likes.
 * Adapter: network.
 */
import { connect, type Socket } from "node:net";

export type Caller = {
  write(text: string | Uint8Array): void;
  /** The status of the answer; 0 if the connection ended without one. */
  status: Promise<number>;
  /** What was received once a whole head and a bit of a body are there; the end ends it, too. */
  answer: Promise<string>;
  /** Resolves with all that was received when the other end has closed the connection. */
  closed: Promise<string>;
  end(): void;
};

export function openCaller(base: string, localAddress = "127.0.0.1"): Caller {
  const { hostname, port } = new URL(base);
  const socket: Socket = connect({ host: hostname, port: Number(port), localAddress });
  const status = Promise.withResolvers<number>();
  const answer = Promise.withResolvers<string>();
  const closed = Promise.withResolvers<string>();
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => {
    received = `${received}${chunk}`.slice(0, 64 * 1024);
    const found = /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1];
    if (found !== undefined) status.resolve(Number(found));
    if (/\r\n\r\n./s.test(received)) answer.resolve(received);
  });
  // A reset is an end like any other.
  socket.on("error", () => undefined);
  socket.on("close", () => {
    status.resolve(0);
    answer.resolve(received);
    closed.resolve(received);
  });
  return {
    write: (text) => void socket.write(text),
    status: status.promise,
    answer: answer.promise,
    closed: closed.promise,
    end: () => void socket.destroy(),
  };
}

/** The head of a POST with a body of `length` bytes, or of unknown length for `null`. */
export function headOf(path: string, token: string | null, length: number | null): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    "Host: navarch",
    "Content-Type: application/json",
    length === null ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`,
    ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
