from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, ProcessExecutor, Service, ToolOptions, ToolServer


class FactorRequest(BaseModel):
    number: int = Field(ge=2)


class Factorise(LambdaTool):
    """Find the prime factors of a number

    Takes a time that nobody can foretell, and listens to no one meanwhile.
    """

    options = ToolOptions(executor="process", time_limit_seconds=300, max_queue=50, max_attempts=2)

    def setup(self) -> None:  # in each worker process
        self.small_primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]

    def run(self, req: FactorRequest) -> list[int]:
        rest, factors = req.number, list[int]()
        for prime in self.small_primes:
            while rest % prime == 0:
                factors.append(prime)
                rest //= prime
        divisor = self.small_primes[-1]
        while divisor * divisor <= rest:
            if rest % divisor:
                divisor += 2
            else:
                factors.append(divisor)
                rest //= divisor
        return [*factors, rest] if rest > 1 else factors


server = ToolServer(
    Service(name="Number theory", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Factorise],
    executor=ProcessExecutor(max_workers=2, memory_limit_bytes=2 * 1024**3, max_jobs_per_worker=1000),
)

if __name__ == "__main__":  # workers import this file too, and must not start the service
    server.serve()
