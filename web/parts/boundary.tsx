// A view that fails says so in its place, and the others go on.

import { Component, type ComponentChildren } from 'preact';
import { asApiError } from '../load.ts';
import { ProblemBox } from './problem.tsx';

type Props = { readonly children: ComponentChildren };

export class Boundary extends Component<Props, { readonly error: unknown }> {
  override state = { error: undefined as unknown };

  override componentDidCatch(error: unknown): void {
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <>
        <h1>This view failed</h1>
        <ProblemBox error={asApiError(error)} again={() => this.setState({ error: undefined })} />
      </>
    );
  }
}
