// A capture file (pcap) of a conversation over TCP that took place in memory: what each side sent, in order, in packets of
// their own. For dissectors, which then say what they make of our bytes.

/** What a dissector takes for 9P. */
const SERVER_PORT = 564;
const CLIENT_PORT = 40000;
/** Larger frames are cut, as TCP would. */
const SEGMENT = 16_000;
const LINKTYPE_RAW = 101;

export class Pcap {
  readonly #packets: Buffer[] = [];
  readonly #sent = { client: 1, server: 1 };

  constructor() {
    const head = Buffer.alloc(24);
    head.writeUInt32LE(0xa1b2c3d4, 0);
    head.writeUInt16LE(2, 4);
    head.writeUInt16LE(4, 6);
    head.writeUInt32LE(0x40000, 16);
    head.writeUInt32LE(LINKTYPE_RAW, 20);
    this.#packets.push(head);
  }

  add(from: 'client' | 'server', bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += SEGMENT) this.#segment(from, bytes.subarray(at, at + SEGMENT));
  }

  #segment(from: 'client' | 'server', bytes: Uint8Array): void {
    const to = from === 'client' ? 'server' : 'client';
    const length = 40 + bytes.length;
    const packet = Buffer.alloc(16 + 40);
    packet.writeUInt32LE(this.#packets.length, 0);
    packet.writeUInt32LE(length, 8);
    packet.writeUInt32LE(length, 12);
    const ip = packet.subarray(16, 36);
    ip.writeUInt8(0x45, 0);
    ip.writeUInt16BE(length, 2);
    ip.writeUInt8(64, 8);
    ip.writeUInt8(6, 9);
    ip.set([127, 0, 0, from === 'client' ? 1 : 2], 12);
    ip.set([127, 0, 0, from === 'client' ? 2 : 1], 16);
    const tcp = packet.subarray(36);
    tcp.writeUInt16BE(from === 'client' ? CLIENT_PORT : SERVER_PORT, 0);
    tcp.writeUInt16BE(from === 'client' ? SERVER_PORT : CLIENT_PORT, 2);
    tcp.writeUInt32BE(this.#sent[from], 4);
    tcp.writeUInt32BE(this.#sent[to], 8);
    tcp.writeUInt8(0x50, 12);
    tcp.writeUInt8(0x18, 13); // PSH, ACK
    tcp.writeUInt16BE(0xffff, 14);
    this.#sent[from] += bytes.length;
    this.#packets.push(packet, Buffer.from(bytes));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#packets);
  }
}
