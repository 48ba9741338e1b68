/** The catalogue: what each image is, how far it has spread, what its boots have taught, and where its bytes came from. */
import type { ImageOverview, Overview } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { Bytes, Empty, Figure, SourceBar } from './figures.tsx';
import { SpreadBars } from './spread-bars.tsx';
import { bytesText, clockText, countOf, countText, dayText } from './units.ts';

export function ImagesView({ overview }: { overview: Overview }): JSX.Element {
  const { images } = overview;
  return (
    <div class="view">
      <div class="title">
        <h1>Images</h1>
        <p>{countOf(images.length, 'image')} in the catalogue</p>
      </div>
      {images.length === 0 && (
        <Empty title="No image is published yet">
          <p>On the host of the tracker, publish one; raw, qcow2 or a URL:</p>
          <pre>bootswarm publish debian-12.qcow2 --name debian-12 --tracker {location.origin}</pre>
        </Empty>
      )}
      {images.map((image) => (
        <ImageCard key={image.id} image={image} />
      ))}
    </div>
  );
}

function ImageCard({ image }: { image: ImageOverview }): JSX.Element {
  const { id, name, title, length, dataBytes, pieceCount, state } = image;
  return (
    <article class="card image">
      <header>
        <h2>{title}</h2>
        <span class={`state ${state}`}>{state}</span>
        <code title={id}>{id.slice(0, 12)}</code>
      </header>
      {title !== name && (
        <p class="note">
          Of Glance: <code>{name}</code>
        </p>
      )}
      <div class="facets">
        <section>
          <h3>Size</h3>
          <dl class="pairs">
            <dt>disk</dt>
            <dd>
              <Bytes bytes={length} />
            </dd>
            <dt>data in it</dt>
            <dd>
              <Bytes bytes={dataBytes} />
            </dd>
            <dt>pieces</dt>
            <dd>
              <Figure>{countText(pieceCount)}</Figure>
            </dd>
          </dl>
        </section>
        <Spread image={image} />
        <BootOrder image={image} />
        <Traffic image={image} />
      </div>
    </article>
  );
}

function Spread({ image: { members, complete, spread } }: { image: ImageOverview }): JSX.Element {
  return (
    <section>
      <h3>Spread</h3>
      <SpreadBars spread={spread} />
      <p class="note">
        {members === 0
          ? 'no node is in its swarm'
          : `${countOf(members, 'node')}, ${countText(complete)} with all of it`}
      </p>
    </section>
  );
}

function BootOrder({ image: { bootOrder } }: { image: ImageOverview }): JSX.Element {
  if (bootOrder.length === 0) {
    return (
      <section>
        <h3>Learned boot order</h3>
        <p class="note">None yet: the first VM that boots from it teaches the others.</p>
      </section>
    );
  }
  return (
    <section>
      <h3>Learned boot order</h3>
      <ul class="kinds">
        {bootOrder.map(({ boots, pieces, bytes, lastLearnedAt }, at) => (
          <li key={at}>
            <strong>
              {countOf(pieces, 'piece')}, {bytesText(bytes)}
            </strong>
            <span class="note">
              {bootOrder.length > 1 && `kind ${at + 1}, `}
              from {countOf(boots, 'boot')}
            </span>
            <span class="note">last learned {momentText(lastLearnedAt)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Traffic({ image }: { image: ImageOverview }): JSX.Element {
  const { receivedFromPeers: peers, receivedFromOrigin: origin, originCopies } = image;
  return (
    <section>
      <h3>Received by nodes</h3>
      <SourceBar bytes={{ cache: 0, peers, origin }} />
      <dl class="pairs">
        <dt class="of-source peers">from peers</dt>
        <dd>
          <Bytes bytes={peers} />
        </dd>
        <dt class="of-source origin">from the origin</dt>
        <dd>
          <Bytes bytes={origin} />
        </dd>
        <dt>copies by the origin</dt>
        <dd>
          <Figure unit="×">{originCopies.toFixed(2)}</Figure>
        </dd>
      </dl>
    </section>
  );
}

function momentText(time: string): string {
  const ms = Date.parse(time);
  return `${dayText(ms)}, ${clockText(ms)}`;
}
