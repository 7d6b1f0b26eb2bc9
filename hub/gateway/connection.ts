/** Port: what a session needs of a socket. */

export interface Connection {
  /** Bytes handed to `send` that have not left this machine. */
  readonly backlog: number;
  /** The device's address, for logs and throttling. */
  readonly address: string;
  /** Hands a text frame over; not delivered yet when it returns. Does nothing on a closed connection. */
  send(text: string): void;
  /** Starts the closing handshake and ends the socket if the peer does not answer in time. Idempotent. */
  close(code: number, reason: string): void;
}
