"""What is timed with PyTorch: a whole training step, or a pass of it."""

import networks
import training


def build_update(torch, asked, place, model):
    """Return the step: (images, labels) -> (loss, logits)."""
    trained = model
    if asked.gpus > 1:
        on = [place.device] if place.on_gpu else None
        trained = torch.nn.parallel.DistributedDataParallel(
            model, device_ids=on, gradient_as_bucket_view=True
        )
    optimizer = build_optimizer(torch, asked, model)
    forward = forward_and_loss(torch, trained, place)
    if asked.compiler == "inductor":
        forward = torch.compile(forward)

    def update(images, labels):
        if asked.conversion_in_timer:
            images, labels = place.move(images), place.move(labels)
        if asked.zero_grad:
            optimizer.zero_grad()
        loss, logits = forward(images, labels)
        loss.backward()
        optimizer.step()
        return loss, logits

    update.optimizer = optimizer
    update.trained = trained
    return update


def build_part(torch, asked, place, model):
    """Return the pass that is timed, and as its `prepare` what comes before it, untimed.

    Forward it is called with the images, backward with the output; it returns the output.
    """
    forward = torch.compile(model) if asked.compiler == "inductor" else model
    if asked.part == "inference":
        model.eval()
    _, _, after = networks.walk(asked.network)[-1]
    ones = torch.ones((asked.batch,) + after[-1:] + after[:-1], device=place.device)

    def compute(images):
        if asked.conversion_in_timer:
            images = place.move(images)
        with place.computing():
            return forward(images)

    def infer(images):
        with torch.no_grad():
            return compute(images)

    def descend(outputs):
        outputs.backward(ones.to(outputs.dtype))
        return outputs

    def prepare(images, _):
        if asked.zero_grad:
            model.zero_grad()
        return (compute(images) if asked.part == "backward" else images,)

    parts = {
        "forward": lambda images: compute(images),
        "inference": infer,
        "backward": descend,
        "forward-backward": lambda images: descend(compute(images)),
    }
    take = parts[asked.part]
    take.prepare = prepare
    return take


def timed_by_events(torch, meet):
    """Return what times a call by events that the GPU itself records before and after it.

    Args:
        meet: called before each step, outside its time.
    """

    def timed_call(step, batch):
        meet()
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        result = step(*batch)
        ended.record()
        ended.synchronize()
        return result, begun.elapsed_time(ended) / 1000.0

    return timed_call


def build_optimizer(torch, asked, model):
    rate = asked.learning_rate
    if asked.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate)
    if asked.optimizer == "adam":
        betas = training.BETAS
        return torch.optim.Adam(model.parameters(), lr=rate, betas=betas, eps=asked.adam_epsilon)
    return torch.optim.RMSprop(
        model.parameters(), lr=rate, alpha=asked.rmsprop_rho, eps=training.EPSILON
    )


def describe_optimizer(name, group):
    if name == "sgd":
        return training.optimizer_words(name, group["lr"])
    rho, betas = group.get("alpha"), group.get("betas")
    return training.optimizer_words(name, group["lr"], rho, group["eps"], "to the root", betas)


def forward_and_loss(torch, model, place):
    """Return the function that is compiled: the softmax is in the cross entropy."""
    if place.precision != "bfloat16":

        def forward(images, labels):
            logits = model(images)
            return torch.nn.functional.cross_entropy(logits, labels), logits

    else:

        def forward(images, labels):
            with place.computing():
                logits = model(images)
            logits = logits.float()  # in bfloat16 the loss would move by 0.03 or not at all
            return torch.nn.functional.cross_entropy(logits, labels), logits

    return forward
